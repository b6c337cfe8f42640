"""`durian dead`: list, show, replay, discard and export dead letters, on the broker itself."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import IO, Any

from django.db import router

from durian import roles
from durian.cli.arguments import age, count
from durian.cli.brokers import refuse_embedded
from durian.cli.files import replacing
from durian.cli.output import complain, console, plain, print_json, print_table, progress, when
from durian.database import available
from durian.errors import DurianError
from durian.models import Listener
from durian.revival import Revival
from durian.wire.broker import Outgoing
from durian.wire.deadletters import Leave, Letter, Visitor, Walk

HELP = "look into the dead letters, replay or discard them"


@dataclass(frozen=True)
class Selection:
    """Which letters are meant; every condition that is given must hold. Times are seconds."""

    ids: tuple[str, ...] = ()
    hook: str = ""
    listener: int | None = None
    reason: str = ""
    older: float | None = None
    newer: float | None = None

    def __bool__(self) -> bool:
        return self != Selection()

    def has(self, letter: Letter, now: float) -> bool:
        """Say whether `letter` is meant."""
        autopsy = letter.autopsy
        age = now - autopsy.died
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.hook or autopsy.hook == self.hook)
            and (self.listener is None or autopsy.listener == self.listener)
            and (not self.reason or autopsy.reason == self.reason)
            and (self.older is None or age >= self.older)
            and (self.newer is None or age <= self.newer)
        )


def add_arguments(parser: ArgumentParser) -> None:
    """Add the actions of `durian dead` and their arguments."""
    parser.epilog = "Killed at any point, none of these loses a letter."
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="one line for each letter")
    listing.add_argument(
        "--limit", type=count("letters"), default=100, help="how many at most (default: 100)"
    )
    listing.add_argument("--json", action="store_true", help="one JSON object a line, for scripts")
    show = actions.add_parser("show", help="everything about one letter")
    show.add_argument("id", help="the letter's id, from the list")
    show.add_argument("--json", action="store_true", help="print JSON, for scripts")
    replay = actions.add_parser("replay", help="send letters again: attempts anew, same webhook-id")
    discard = actions.add_parser("discard", help="destroy letters")
    export = actions.add_parser("export", help="write letters as JSON lines, and leave them there")
    export.add_argument("--output", metavar="FILE", help="where to (default: standard output)")
    for action in (replay, discard):
        action.add_argument("--dry-run", action="store_true", help="only say how many are meant")
        action.add_argument("--all", action="store_true", help="all letters, if nothing selects")
    for action in (listing, replay, discard, export):
        _add_selection(action)


def _add_selection(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="letters by id")
    parser.add_argument("--hook", default="", help="only those of this hook")
    parser.add_argument("--listener", type=int, help="only those of this listener")
    parser.add_argument("--reason", default="", help="only those that died of this")
    parser.add_argument("--older", type=age, metavar="AGE", help="dead for longer")
    parser.add_argument("--newer", type=age, metavar="AGE", help="dead for less")


def run(options: dict[str, Any]) -> int:
    """Return 0 when the action did what it was asked for, 2 when that was nothing, else 1.

    Raises as `refuse_embedded` does.
    """
    refuse_embedded()
    actions: dict[str, Callable[[dict[str, Any]], int]] = {
        "list": _list,
        "show": _show,
        "replay": _replay,
        "discard": _discard,
        "export": _export,
    }
    return actions[options["action"]](options)


def _list(options: dict[str, Any]) -> int:
    found: list[Letter] = []

    def keep(letter: Letter) -> None:
        if len(found) < options["limit"]:
            found.append(letter)

    walk, matched = _walk(_selection(options), keep)
    if options["json"]:
        for letter in found:
            print_json({"id": letter.id, **asdict(letter.autopsy)})
        return 0
    print_table(
        ["id", "died", "reason", "hook", "listener", "attempts", "status", "detail"],
        (
            (
                letter.id,
                when(letter.autopsy.died),
                letter.autopsy.reason,
                letter.autopsy.hook or "-",
                letter.autopsy.listener or "-",
                letter.autopsy.attempts,
                letter.autopsy.last_status or "-",
                letter.autopsy.detail,
            )
            for letter in found
        ),
    )
    console().print(f"{matched} of {walk.total} dead letters; {len(found)} shown.")
    return 0


def _show(options: dict[str, Any]) -> int:
    found: list[Letter] = []
    _walk(Selection(ids=(options["id"],)), found.append)
    if not found:
        complain(f"There is no dead letter {options['id']!r}; `durian dead list` has all.")
        return 1
    letter = found[0]
    if options["json"]:
        print_json(_exported(letter))
        return 0
    out = console()
    for name, value in {"id": letter.id, **asdict(letter.autopsy)}.items():
        is_time = name in ("died", "first_attempt", "last_attempt")
        out.print(f"{name:14} {when(value) if is_time else plain(value)}")
    out.print(plain(_readable(letter.body)))
    return 0


def _replay(options: dict[str, Any]) -> int:
    with available(router.db_for_write(Listener)):
        revival = Revival(roles.broker().topology)
    code = _change(options, "replayed", revival)
    if revival.left:
        console().print(
            f"{revival.left} stay: their listeners are paused, disabled or deleted: "
            f"{revival.listeners}. Resume these first, on their pages; what was for a deleted one "
            "can only be discarded."
        )
    return code or int(revival.left > 0)


def _discard(options: dict[str, Any]) -> int:
    return _change(options, "discarded", lambda letter: Leave.DISCARDED)


def _change(options: dict[str, Any], done: str, change: Visitor) -> int:
    selection = _selection(options)
    if not selection and not options["all"]:
        console().print(
            "Say which letters: by id, --hook, --listener, --reason, --older, --newer, or --all."
        )
        return 2
    dry, changed = options["dry_run"], 0

    def visit(letter: Letter) -> Leave | Outgoing:
        nonlocal changed
        answer = change(letter)
        changed += answer is not Leave.IN_PLACE
        return Leave.IN_PLACE if dry else answer

    walk, _ = _walk(selection, visit)
    changed -= len(walk.kept)
    console().print(f"{changed} of {walk.total} dead letters {'would be ' * dry}{done}.")
    for one in walk.kept:
        complain(f"{one.id} stays: the broker does not take its {one.size} bytes: {one.reason}")
    return int(bool(walk.kept))


def _export(options: dict[str, Any]) -> int:
    target = options["output"] or "standard output"
    try:
        with ExitStack() as stack:
            out: IO[str] = sys.stdout
            if options["output"]:
                out = stack.enter_context(replacing(options["output"]))
            matched = _write(out, _selection(options))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DurianError(f"Cannot write to {target}: {error.strerror}.") from error
    if options["output"]:
        console().print(f"{matched} dead letters written to {target}.")
    return 0


def _write(out: IO[str], selection: Selection) -> int:
    def write(letter: Letter) -> None:
        out.write(json.dumps(_exported(letter)) + "\n")

    _, matched = _walk(selection, write)
    return matched


def _walk(selection: Selection, visit: Callable[[Letter], Any]) -> tuple[Walk, int]:
    matched = 0
    now = time.time()

    def visitor(letter: Letter) -> Any:
        nonlocal matched
        if not selection.has(letter, now):
            return Leave.IN_PLACE
        matched += 1
        return visit(letter) or Leave.IN_PLACE

    walk = Walk(roles.broker(), visitor)
    with progress("dead letters") as report:
        walk.run(report)
    return walk, matched


def _selection(options: dict[str, Any]) -> Selection:
    return Selection(
        ids=tuple(options["ids"]),
        hook=options["hook"],
        listener=options["listener"],
        reason=options["reason"],
        older=options["older"],
        newer=options["newer"],
    )


def _exported(letter: Letter) -> dict[str, Any]:
    text = letter.body.decode("utf-8", "backslashreplace")
    return {"id": letter.id, **asdict(letter.autopsy), "body": text}


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode("utf-8", "backslashreplace")
