"""A small internet in a network namespace: public and private addresses, and a DNS that changes.

The kernel gives an unprivileged user a namespace in which any address can be this machine's own,
and in which /etc/resolv.conf names a server of the tests. So names are resolved by the real
resolver and connections made to the addresses that it gives, without a byte leaving the machine.
"""

import json
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import ClassVar

from requests import Response

from deliverer.http import Result, Settings
from durian.guard import Guard
from durian.simulator import Behaviour, Simulator
from tests.integration.conformance import WAYS, post

PORT = 8080
DEADLINE = 1.5
PUBLIC, PUBLIC_V6 = "93.184.216.34", "2606:2800:21f::34"
PRIVATE, LOOPBACK, LOOPBACK_V6 = "10.1.2.3", "127.0.0.1", "::1"
ABSENT = "93.184.216.99"
ADDRESSES = (PUBLIC, PUBLIC_V6, PRIVATE, LOOPBACK, LOOPBACK_V6)
"""The addresses at which a receiver listens, on PORT."""

NAMES: dict[str, list[list[str]]] = {
    "public.example": [[PUBLIC]],
    "public6.example": [[PUBLIC_V6]],
    "private.example": [[PRIVATE]],
    "rebinding.example": [[PUBLIC], [PRIVATE], [LOOPBACK]],
    "several.example": [[PRIVATE, PUBLIC]],
    "both.example": [[LOOPBACK_V6, PUBLIC]],
    "half-down.example": [[PRIVATE, ABSENT]],
    "inside.example": [[PRIVATE, LOOPBACK, LOOPBACK_V6]],
    "mapped.example": [["::ffff:10.1.2.3"]],
    "compatible.example": [["::10.1.2.3"]],
    "nat64.example": [["64:ff9b::a01:203"]],
    "6to4.example": [["2002:a01:203::1"]],
    "teredo.example": [["2001:0:a01:203::1"]],
    "isatap.example": [["2001:db8:1::5efe:a01:203"]],
    "xn--bcher-kva.example": [[PUBLIC]],
    "silent.example": [],
}
"""What the DNS answers to the first look-up of a name, the second and so on; the last one stays.

A name without an answer gets none at all, not even that it does not exist.
"""


@dataclass(frozen=True)
class Call:
    """Call `url` in one of the WAYS, `times` in a row, each with an engine of its own."""

    url: str
    way: str
    times: int = 1
    allow_networks: Sequence[str] = ()
    allow_hosts: Sequence[str] = ()
    allow_ports: Sequence[int] = ()


@dataclass(frozen=True)
class Outcome:
    """The answer's status or the error's name and text, the addresses that were reached, and the
    seconds until all was over, the stopping of an engine included."""

    status: int | None
    error: str
    permanent: bool
    reached: Sequence[str]
    seconds: float


def available() -> bool:
    """Say whether this user may make namespaces, and has the tools for it."""
    try:
        return subprocess.run(_in_namespace("ip", "link"), capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def make(calls: Sequence[Call]) -> list[list[Outcome]]:
    """Make `calls` in a new namespace, and return what came of each time of each."""
    process = subprocess.run(
        _in_namespace(sys.executable, "-m", __name__),
        input=json.dumps([asdict(call) for call in calls]),
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return [[Outcome(**outcome) for outcome in times] for times in json.loads(process.stdout)]


def _in_namespace(*command: str) -> list[str]:
    return ["unshare", "--user", "--map-root-user", "--net", "--mount", *command]


class _NameServer(socketserver.BaseRequestHandler):
    """Answers A and AAAA from NAMES; what stands before such a name only makes it another one."""

    looked_up: ClassVar[Counter[tuple[str, int]]] = Counter()

    def handle(self) -> None:
        packet, reply = self.request
        name, kind, end = _question(packet)
        answers = NAMES.get(".".join(name.split(".")[-2:]), [[]])
        if not answers:
            return
        number = self.looked_up[name, kind]
        self.looked_up[name, kind] += 1
        version = {1: 4, 28: 6}.get(kind)
        found = [ip_address(text) for text in answers[min(number, len(answers) - 1)]]
        records = [
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(each.packed)) + each.packed
            for each in found
            if each.version == version
        ]
        header = packet[:2] + struct.pack("!HHHHH", 0x8580, 1, len(records), 0, 0)
        reply.sendto(header + packet[12:end] + b"".join(records), self.client_address)


def _question(packet: bytes) -> tuple[str, int, int]:
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), int.from_bytes(packet[at + 1 : at + 3], "big"), at + 5


@contextmanager
def _internet() -> Iterator[list[str]]:
    """Set up the namespace; gives the list to which each address is added when it is reached."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (PUBLIC, PUBLIC_V6, PRIVATE):
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
    with tempfile.NamedTemporaryFile("w") as resolver, ExitStack() as stack:
        resolver.write("nameserver 127.0.0.1\n")
        resolver.flush()
        subprocess.run(["mount", "--bind", resolver.name, "/etc/resolv.conf"], check=True)
        server = stack.enter_context(
            socketserver.ThreadingUDPServer(("127.0.0.1", 53), _NameServer)
        )
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(server.shutdown)
        reached: list[str] = []
        for address in ADDRESSES:
            note = _noting(reached, address)
            stack.enter_context(note)
        yield reached


def _noting(reached: list[str], address: str) -> Simulator:
    return Simulator(Behaviour(), lambda seen: reached.append(address), host=address, port=PORT)


def _outcomes(call: Call, reached: list[str]) -> Iterator[Outcome]:
    settings = Settings(Guard(call.allow_networks, call.allow_hosts, call.allow_ports))
    for _ in range(call.times):
        reached.clear()
        began = time.monotonic()
        with WAYS[call.way](settings) as make_exchange:
            result = make_exchange(post(call.url), DEADLINE)
        yield _outcome(result, list(reached), time.monotonic() - began)


def _outcome(result: Result, reached: list[str], seconds: float) -> Outcome:
    if isinstance(result, Response):
        return Outcome(result.status_code, "", False, reached, seconds)
    text = f"{type(result).__name__}: {result}"
    return Outcome(None, text, result.permanent, reached, seconds)


def _main() -> None:
    calls = [Call(**call) for call in json.load(sys.stdin)]
    with _internet() as reached:
        outcomes = [[asdict(each) for each in _outcomes(call, reached)] for call in calls]
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    _main()
