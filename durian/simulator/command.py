"""`durian receiver`: a simulated receiver on the command line, one line for each request."""

import ssl
import sys
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from typing import Any

from rich.text import Text

from durian.cli.arguments import between, port
from durian.cli.output import console, print_json, writing
from durian.errors import DurianError, InvalidSecret, InvalidSignature
from durian.signing import verify
from durian.simulator.behaviour import UNSIGNED, Behaviour, Seen
from durian.simulator.certificates import TLS_MODES
from durian.simulator.modes import MODES, NEVER_ACCEPTS
from durian.simulator.server import HOST, Simulator
from durian.stopping import set_by_signals

HELP = "receive webhooks: print each, answer as told, or misbehave"

LOOK_SECONDS = 0.2
"""How often it is looked whether somebody reads what is printed: a signal is heard at once."""

DESCRIPTION = """\
A receiver for trying things out. It listens on 127.0.0.1, where durian delivers only if
DURIAN["ALLOW_NETWORKS"] holds "127.0.0.0/8".

  durian receiver --port 8001                        answer 200 to everything
  durian receiver --secret whsec_...                 check signatures; 401 for what is not signed
  durian receiver --fail 0.1 --latency 0.2           fail now and then, after 200 ms
  durian receiver --status 500 503 200               see two retries and a success
  durian receiver --status 429 --retry-after 60      ask to be left alone for a minute
  durian receiver --mode slow-body                   see that a deadline is kept
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of `durian receiver`."""
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.description = DESCRIPTION
    parser.epilog = _explained_modes()
    add = parser.add_argument
    add("--host", default=HOST, help="address to listen on (default: %(default)s)")
    add("--port", type=port, default=8001, help="port, 0 for a free one (default: %(default)s)")
    add(
        "--latency",
        type=between(float, 0, 3600),
        default=0.0,
        metavar="SECONDS",
        help="wait before the answer",
    )
    add(
        "--status",
        type=between(int, 200, 599),
        nargs="+",
        default=[200],
        help="answer these in turn",
    )
    add(
        "--fail",
        type=between(float, 0, 1),
        default=0.0,
        metavar="RATE",
        help="answer 500 to this part, 0 to 1",
    )
    add("--retry-after", default="", metavar="VALUE", help="sent with answers other than 2xx")
    add(
        "--secret",
        action="append",
        default=[],
        type=_secret,
        help="whsec_... or whpk_...; several may be given",
    )
    add("--cert", metavar="FILE", help="speak HTTPS with this certificate (PEM)")
    add("--key", metavar="FILE", help="the certificate's private key, if it is not in its file")
    add(
        "--mode",
        choices=["normal", NEVER_ACCEPTS, *MODES, *TLS_MODES],
        default="normal",
        metavar="NAME",
        help="misbehave, see below",
    )
    add("--json", action="store_true", help="print one line of JSON for each request")


def run(options: dict[str, Any]) -> int:
    """Receive until SIGTERM or Ctrl-C. Returns 0, or 1 when the port or a file cannot be used.

    Raises as `console().print` does when nobody reads what is printed any more.
    """
    printer = _Printer(as_json=options["json"])
    try:
        simulator = _simulator(options, printer)
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {options['host']}:{options['port']}: {error}\n")
        return 1
    stopping = set_by_signals()
    with simulator:
        printer.notice(f"Listening on {simulator.url()} (mode {options['mode']}). Ctrl-C ends it.")
        if simulator.ca_bundle:
            printer.notice(f'DURIAN["CA_BUNDLE"] that sees the fault alone: {simulator.ca_bundle}')
        while not stopping.wait(LOOK_SECONDS) and not printer.failure:
            pass
    if printer.failure:
        raise printer.failure
    printer.notice(f"{printer.count} requests came.")
    return 0


def _simulator(options: dict[str, Any], printer: "_Printer") -> Simulator:
    behaviour = Behaviour(
        statuses=options["status"],
        fail=options["fail"],
        latency=options["latency"],
        retry_after=options["retry_after"],
        secrets=options["secret"],
        mode=options["mode"],
    )
    tls = None
    if options["cert"]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options["cert"], options["key"])
    return Simulator(behaviour, printer.show, host=options["host"], port=options["port"], tls=tls)


class _Printer:
    """Prints requests to standard output, in colours on a terminal, and notices beside it."""

    def __init__(self, as_json: bool) -> None:
        self.count = 0
        self.failure: BrokenPipeError | DurianError | None = None
        self._as_json = as_json
        self._lock = threading.Lock()

    def notice(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def show(self, seen: Seen) -> None:
        with self._lock:
            self.count += 1
            try:
                self._print(seen)
            except (BrokenPipeError, DurianError) as error:
                # In the thread of a request, which is answered all the same.
                self.failure = error

    def _print(self, seen: Seen) -> None:
        if self._as_json:
            print_json(_facts(seen))
            with writing():
                sys.stdout.flush()
        else:
            console().print(_line(seen))


def _facts(seen: Seen) -> dict[str, Any]:
    return {
        "at": seen.at,
        "method": seen.method,
        "path": seen.path,
        "status": seen.status or None,
        "signature": seen.signature,
        "id": seen.headers.get("webhook-id"),
        "hook": seen.headers.get("durian-hook"),
        "attempt": seen.headers.get("durian-attempt"),
        "bytes": len(seen.body),
        "body": seen.body.decode(errors="replace"),
    }


def _line(seen: Seen) -> Text:
    good = 200 <= seen.status < 300
    line = Text(time.strftime("%H:%M:%S ", time.localtime(seen.at)))
    line.append(str(seen.status or "---"), "green" if good else "red")
    line.append(f" {_printable(seen.method)} {_printable(seen.path)}", "bold")
    if "webhook-id" in seen.headers:
        line.append(
            _printable(f" {seen.headers.get('durian-hook', '')} {seen.headers['webhook-id']}")
        )
    if "durian-attempt" in seen.headers:
        line.append(_printable(f" attempt {seen.headers['durian-attempt']}"))
    line.append(f" {len(seen.body)} bytes")
    if seen.signature != UNSIGNED:
        line.append(
            f" signature: {seen.signature}", "green" if seen.signature == "valid" else "red"
        )
    return line


def _printable(text: str) -> str:
    # What a stranger sends must not command the terminal.
    return "".join(character if character.isprintable() else "?" for character in text)


def _explained_modes() -> str:
    lines = [f"  {NEVER_ACCEPTS:20} Let nobody connect."]
    lines += [f"  {name:20} {mode.__doc__}" for name, mode in MODES.items()]
    lines += [f"  {name:20} {text}" for name, text in TLS_MODES.items()]
    return "modes:\n" + "\n".join(lines)


def _secret(text: str) -> str:
    try:
        verify({}, b"", [text])
    except InvalidSignature:
        pass  # The secret was read; there was no signature to compare.
    except InvalidSecret as error:
        raise ArgumentTypeError(str(error)) from error
    return text
