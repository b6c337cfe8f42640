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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

from durian.simulator import Behaviour, Simulator

PORT = 8080
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
    "translated.example": [["::ffff:0:a01:203"]],
    "nat64.example": [["64:ff9b::a01:203"]],
    "nat64-local.example": [["64:ff9b:1::a01:203"]],
    "6to4.example": [["2002:a01:203::1"]],
    "teredo.example": [["2001:0:a01:203::1"]],
    "isatap.example": [["2001:db8:1::5efe:a01:203"]],
    "xn--bcher-kva.example": [[PUBLIC]],
    "slow.example": [[PUBLIC]],
    "many.example": [[f"10.9.{number // 100}.{number % 100}" for number in range(30)]],
    "empty.example": [[]],
    "silent.example": [],
}
"""What the DNS answers to the first look-up of a name, the second and so on; the last one stays.

A name without an answer gets none at all, not even that it does not exist.
"""

FAILURES = {"absent.example": 3, "failing.example": 2, "refusing.example": 5}
"""The code of the DNS's error for a name: it does not exist, the server fails, it refuses."""

SLOW = {"slow.example": 1.0}
"""The seconds after which the DNS knows a name, however often it is asked meanwhile.

So does a resolver that has to ask others first.
"""

HOSTS = {"listed.example": PUBLIC, "listed-inside.example": PRIVATE}
"""What /etc/hosts says; the DNS knows none of them."""


def available() -> bool:
    """Say whether this user may make namespaces, and has the tools for it."""
    try:
        return subprocess.run(_in_namespace("ip", "link"), capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def inside(module: str, argument: Any) -> Any:
    """Run `module` in a new namespace and return what it prints; both are JSON.

    What it does there it does within `internet()`.
    """
    process = subprocess.run(
        _in_namespace(sys.executable, "-m", module),
        input=json.dumps(argument),
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(process.stdout)


def _in_namespace(*command: str) -> list[str]:
    return ["unshare", "--user", "--map-root-user", "--net", "--mount", *command]


class _NameServer(socketserver.BaseRequestHandler):
    """Answers A and AAAA from NAMES; what stands before such a name only makes it another one."""

    looked_up: ClassVar[Counter[tuple[str, int]]] = Counter()
    first: ClassVar[dict[tuple[str, int], float]] = {}

    def handle(self) -> None:
        packet, reply = self.request
        name, kind, end = _question(packet)
        domain = ".".join(name.split(".")[-2:])
        number = self.looked_up[name, kind]
        self.looked_up[name, kind] += 1
        answers = NAMES.get(domain, [[]])
        if not answers:
            return
        known = self.first.setdefault((name, kind), time.monotonic()) + SLOW.get(domain, 0.0)
        time.sleep(max(known - time.monotonic(), 0.0))
        version = {1: 4, 28: 6}.get(kind)
        found = [ip_address(text) for text in answers[min(number, len(answers) - 1)]]
        records = [
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(each.packed)) + each.packed
            for each in found
            if each.version == version
        ]
        flags = 0x8580 | FAILURES.get(domain, 0)
        header = packet[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        reply.sendto(header + packet[12:end] + b"".join(records), self.client_address)


def _question(packet: bytes) -> tuple[str, int, int]:
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), int.from_bytes(packet[at + 1 : at + 3], "big"), at + 5


@dataclass
class Internet:
    """`reached` gets each address when a connection comes to it; `looked_up` counts questions.

    The latter are counted by name and kind, 1 for IPv4 addresses and 28 for IPv6 ones.
    """

    resolver: Path
    reached: list[str] = field(default_factory=list)
    looked_up: Counter[tuple[str, int]] = field(default_factory=lambda: _NameServer.looked_up)

    def name_server(self, address: str) -> None:
        """Have /etc/resolv.conf name the server at `address`."""
        self.resolver.write_text(f"nameserver {address}\n")


@contextmanager
def internet() -> Iterator[Internet]:
    """Set up the namespace in which this process runs."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (PUBLIC, PUBLIC_V6, PRIVATE):
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
    lines = [f"{address} {name}\n" for name, address in HOSTS.items()]
    with ExitStack() as stack:
        resolver = stack.enter_context(_replaced("/etc/resolv.conf", "nameserver 127.0.0.1\n"))
        stack.enter_context(_replaced("/etc/hosts", "127.0.0.1 localhost\n" + "".join(lines)))
        server = stack.enter_context(
            socketserver.ThreadingUDPServer(("127.0.0.1", 53), _NameServer)
        )
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(server.shutdown)
        here = Internet(resolver)
        for address in ADDRESSES:
            stack.enter_context(_noting(here.reached, address))
        yield here


@contextmanager
def _replaced(path: str, content: str) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(content)
        file.flush()
        subprocess.run(["mount", "--bind", file.name, path], check=True)
        yield Path(path)


def _noting(reached: list[str], address: str) -> Simulator:
    return Simulator(Behaviour(), lambda seen: reached.append(address), host=address, port=PORT)
