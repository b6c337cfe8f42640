"""The site and the roles as processes: started, killed, revived, measured.

Nothing is revived but what a fault has ended: a process that ends by itself stays away, and counts
as broken.
"""

import random
import signal
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.acceptance.shop import ROOT, Shop
from tests.servers.free import wait_until
from tests.servers.process import ServerProcess

ROLES = ("site", "publisher", "publisher", "matcher", "matcher", "deliverer", "deliverer")
END_SECONDS = 20.0
"""How long a process may take to end by SIGTERM: SHUTDOWN_SECONDS, and its start if it is young."""

ENDINGS = (0, -signal.SIGTERM)
"""How a process ends well: by itself, or by the signal if Python has hardly started."""


@dataclass(frozen=True)
class Size:
    """What a process and its children hold: memory in MB, and open descriptors."""

    memory: float = 0.0
    files: int = 0


@dataclass
class Member:
    """A place in the fleet: whichever process has it just now."""

    role: str
    process: ServerProcess
    before: Size = field(default_factory=Size)


class Fleet:
    """One site and two of each role; `kept_port` is where kept connections need not be counted."""

    def __init__(self, shop: Shop, chance: random.Random, kept_port: int) -> None:
        self._shop = shop
        self._chance = chance
        self._kept_port = kept_port
        self.members: list[Member] = []
        self.broken: list[str] = []

    def start(self, code: Path) -> None:
        """Start all of them with the durian that is in `code`; return when they are at work."""
        self.members = [Member(role, self._process(role, code)) for role in ROLES]
        for member in self.members:
            self._start(member, ready=lambda: True)
        for member in self.members:
            wait_until(lambda m=member: self._at_work(m), 60, f"{member.role} is at work")  # type: ignore[misc]
        self._shop.talk_to(self.members[0].process)

    def of(self, role: str) -> list[Member]:
        """Return the members of a role."""
        return [member for member in self.members if member.role == role]

    def any_of(self, role: str) -> Member:
        """Return one of the role's members, by chance."""
        return self._chance.choice(self.of(role))

    def kill(self, member: Member) -> None:
        """End a member with SIGKILL."""
        self._expect(member)
        member.process.kill()

    def terminate(self, members: Iterable[Member]) -> None:
        """End members with SIGTERM, all at once; one that does not end well is broken."""
        asked = list(members)
        for member in asked:
            self._expect(member)
            if member.process.running:
                # To the process alone, as a supervisor does: gunicorn ends its workers itself.
                psutil.Process(member.process.pid).terminate()
        for member in asked:
            with suppress(AssertionError):
                wait_until(lambda m=member: not m.process.running, END_SECONDS, "its end")  # type: ignore[misc]
            code = member.process.returncode
            if code is None:
                self.broken.append(f"a {member.role} did not end by SIGTERM")
            elif code not in ENDINGS:
                self.broken.append(f"a {member.role} ended with {code}")
            member.process.kill()

    def revive(self, member: Member) -> None:
        """Do what a supervisor does with a process that has ended: start it again."""
        self._start(member, ready=lambda: True)

    def replace(self, member: Member) -> None:
        """Put a process of today's code in a member's place, as a deployment does."""
        new = Member(member.role, self._process(member.role, ROOT))
        self._start(new, ready=lambda: self._at_work(new))
        if member.role == "site":
            self._shop.talk_to(new.process)
        self.terminate([member])
        member.process = new.process

    def measure(self) -> None:
        """Remember what each of them holds now."""
        for member in self.members:
            member.before = self._size(member.process)

    def growth(self) -> Size:
        """Return by how much the one that grew most has grown since `measure`; 0 if none has."""
        now = [(self._size(member.process), member.before) for member in self.members]
        return Size(
            memory=max(0.0, *(size.memory - before.memory for size, before in now)),
            files=max(0, *(size.files - before.files for size, before in now)),
        )

    def log(self, member: Member) -> str:
        """Return what a member has written."""
        return member.process.log.read_text(errors="replace")

    def end(self) -> None:
        """End all of them by SIGTERM, and say of each that did not live or end well."""
        self.terminate(self.members)

    def kill_all(self) -> None:
        """End whatever runs."""
        for member in self.members:
            member.process.kill()

    def _process(self, role: str, code: Path) -> ServerProcess:
        if role == "site":
            return self._shop.site(workers=1, code=code)
        return self._shop.process(role, code=code)

    def _start(self, member: Member, ready: Callable[[], object]) -> None:
        member.process.start(ready=ready)

    def _expect(self, member: Member) -> None:
        if not member.process.running:
            code = member.process.returncode
            self.broken.append(f"a {member.role} ended by itself with {code}")

    def _at_work(self, member: Member) -> bool:
        assert member.process.running, f"a {member.role} ended:\n{member.process.log_tail()}"
        if member.role == "site":
            host, port = member.process.command[member.process.command.index("--bind") + 1].split(
                ":"
            )
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) == 0
        word = "Running" if member.role == "publisher" else "Consuming"
        return word in self.log(member)

    def _size(self, process: ServerProcess) -> Size:
        memory, files = 0, 0
        for one in process.family():
            with suppress(psutil.NoSuchProcess), one.oneshot():
                memory += one.memory_info().rss
                files += one.num_fds() - self._kept(one)
        return Size(memory / 1e6, files)

    def _kept(self, process: psutil.Process) -> int:
        # A deliverer keeps its connections to receivers, 4,096 at most, for later POSTs.
        peers = [connection.raddr for connection in process.net_connections("tcp")]
        return sum(1 for peer in peers if peer and peer.port == self._kept_port)
