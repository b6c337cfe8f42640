"""`durian rekey`: encrypt the listeners' secrets anew with the first of the keys.

No lock is held and no process has to stop: a row is written only if it is as it was read, so that a
secret that is rotated meanwhile is kept.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import router, transaction

from durian import conf
from durian.cli.output import console, print_json, progress
from durian.database import available
from durian.errors import ConfigurationError
from durian.models import Listener
from durian.vault import Vault

HELP = "encrypt the listeners' secrets anew with the first of DURIAN['ENCRYPTION_KEYS']"
BATCH = 500
NAMED = 20
"""Listeners without a key that are named at most; `--json` has all."""

Row = tuple[int, str]


@dataclass
class Count:
    """How many secrets the first key decrypts, how many an older one, and of whom none does."""

    current: int = 0
    older: int = 0
    unreadable: list[int] = field(default_factory=list)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `durian rekey`."""
    parser.add_argument("--dry-run", action="store_true", help="only say how many are meant")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    parser.epilog = (
        "To change a key: put the new one before the old one, restart everything, run this, take "
        "the old one away, restart everything. Safe beside running processes, and to run again."
    )


def run(options: dict[str, Any]) -> int:
    """Return 0 when the first key decrypts every secret (or would, after a dry run), else 1.

    Raises Unavailable when the database is away.
    """
    vault, dry_run = conf.vault(), options["dry_run"]
    with available(router.db_for_write(Listener)):
        found = _pass(vault, write=not dry_run)
        # Another look: a process with older settings may have written meanwhile.
        left = found if dry_run else _pass(vault, write=False)
    if options["json"]:
        print_json({"dry_run": dry_run, "found": asdict(found), "left": asdict(left)})
    else:
        _print(found, left, dry_run)
    return int(bool(left.unreadable or (left.older and not dry_run)))


def _pass(vault: Vault, write: bool) -> Count:
    count, seen = Count(), 0
    with progress("listeners") as report:
        for rows in _batches():
            older = [row for row in rows if not vault.is_current(row[1])]
            count.current += len(rows) - len(older)
            _take(vault, older, count, write)
            seen += len(rows)
            report(seen, None)
    return count


def _batches() -> Iterator[list[Row]]:
    # By key and not by a cursor: no transaction stays open.
    rows = Listener.objects.using(router.db_for_write(Listener)).exclude(secrets="").order_by("pk")
    last = 0
    while batch := list(rows.filter(pk__gt=last).values_list("pk", "secrets")[:BATCH]):
        yield batch
        last = batch[-1][0]


def _take(vault: Vault, rows: list[Row], count: Count, write: bool) -> None:
    # Not by way of Listener.objects: nothing changes for those who keep listeners in memory.
    listeners = Listener._base_manager.using(router.db_for_write(Listener))
    with transaction.atomic(using=listeners.db):
        for pk, secrets in rows:
            try:
                anew = vault.rotate(secrets)
            except ConfigurationError:
                count.unreadable.append(pk)
                continue
            count.older += 1
            if write:
                listeners.filter(pk=pk, secrets=secrets).update(secrets=anew)


def _print(found: Count, left: Count, dry_run: bool) -> None:
    out = console()
    done = "would be encrypted" if dry_run else "were encrypted"
    out.print(
        f"{found.older} listeners' secrets {done} anew; {found.current} were under the first key "
        "already."
    )
    if left.unreadable:
        named = ", ".join(map(str, left.unreadable[:NAMED]))
        more = " …" if len(left.unreadable) > NAMED else ""
        out.print(
            f"No key decrypts those of {len(left.unreadable)} listeners ({named}{more}): put their "
            "key back into DURIAN['ENCRYPTION_KEYS'] and run this again. If it is lost, they "
            "need new secrets: listener.rotate_secret(timedelta(0))."
        )
    elif left.older and not dry_run:
        out.print(
            f"{left.older} were written with another key meanwhile: restart the process that has "
            "the old settings, then run this again."
        )
    elif not dry_run:
        out.print(
            "The first key decrypts all of them. Take the others out of DURIAN['ENCRYPTION_KEYS'] "
            "(without it: out of SECRET_KEY_FALLBACKS, if nothing else needs them) and restart "
            "everything."
        )
