"""On what a run was made."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import django
import psutil

from tests.benchmarks.stage import Stage


def describe(stage: Stage) -> dict[str, str]:
    """Return what the figures depend on, by name."""
    with stage.connect() as connection:
        database = connection.info.parameter_status("server_version") or ""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Django": django.__version__,
        "RabbitMQ": stage.rabbitmq.ctl("version").strip(),
        "PostgreSQL": database.split(" ")[0],
        "nginx": said.strip().partition("/")[2],
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.machine()
