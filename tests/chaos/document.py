"""The table of a run in docs/reliability.md, put in the place of the one before."""

import datetime
import os
import platform
import subprocess
from collections.abc import Sequence

import psutil

from tests.acceptance.shop import ROOT
from tests.chaos.row import Row, markdown_head
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.rabbitmq import PrivateRabbitMQ

DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- table of the last run -->\n", "<!-- end of the table -->\n"


def write(rows: Sequence[Row], seed: int, servers: str) -> None:
    """Put the table of `rows` into the document, with the command, the machine and the date."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    _, after = rest.split(END)
    minutes = sum(row.seconds for row in rows) / 60
    command = f"`make chaos SEED={seed}`, {datetime.date.today()}, {minutes:.0f} minutes"
    said = f"{command}, on {_machine()} with {servers}:"
    table = "\n".join([markdown_head(), *(row.markdown() for row in rows)])
    DOCUMENT.write_text(f"{before}{BEGIN}{said}\n\n{table}\n{END}{after}")


def versions(rabbitmq: PrivateRabbitMQ, postgresql: PrivatePostgreSQL) -> str:
    """Return the versions of what durian runs on."""
    command = [str(postgresql.binaries / "postgres"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return (
        f"Python {platform.python_version()}, RabbitMQ {rabbitmq.ctl('version').strip()} and "
        f"PostgreSQL {said.split()[2]}"
    )


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores and {memory:.0f} GB, {platform.system()} {platform.machine()},"
