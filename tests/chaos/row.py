"""The account of one fault, as a row: what it counts, and what of that is bad."""

from dataclasses import dataclass, field

MEMORY_MB = 25.0
"""By how much a process may have grown: its heap holds what was in flight at the worst moment."""
FILES = 4
"""By how many descriptors: a connection to the broker or database that it had not needed before."""

COLUMNS = {
    "events": "events",
    "expected": "expected",
    "received": "received",
    "duplicates": "twice",
    "at_most": "at most",
    "dead": "dead",
    "lost": "lost",
    "ghosts": "ghosts",
    "queued": "queued",
    "refused": "refused",
    "broken": "broken",
    "memory": "MB",
    "files": "files",
    "seconds": "seconds",
}
"""The fields that are columns of the table, and their heads."""


@dataclass(frozen=True)
class Row:
    """The account of one fault.

    `at_most` is how many duplicates the fault explains, and `unexplained` counts those of
    deliveries that were not in flight when it struck; `ghosts` were received and had not happened;
    `refused` counts requests that the site failed or let wait; `broken`, processes that ended by
    themselves or did not end well; `memory` (in MB) and `files` say by how much the process that
    grew most has grown; `wrong` is what else went wrong.
    """

    fault: str
    events: int = 0
    expected: int = 0
    received: int = 0
    duplicates: int = 0
    at_most: int = 0
    unexplained: int = 0
    dead: int = 0
    lost: int = 0
    ghosts: int = 0
    queued: int = 0
    refused: int = 0
    may_refuse: bool = False
    broken: int = 0
    memory: float = 0.0
    files: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing was lost and nothing is left or broken."""
        return not self.faults

    @property
    def faults(self) -> list[str]:
        """The columns that are bad."""
        over = {
            "expected": not self.expected,
            "duplicates": self.unexplained or self.duplicates > self.at_most,
            "lost": self.lost,
            "ghosts": self.ghosts,
            "queued": self.queued,
            "refused": self.refused and not self.may_refuse,
            "broken": self.broken,
            "memory": self.memory > MEMORY_MB,
            "files": self.files > FILES,
            "wrong": self.wrong,
        }
        return [name for name, bad in over.items() if bad]

    def line(self) -> str:
        """Return the row for a terminal."""
        counts = "".join(f"{getattr(self, name):>10}" for name in COLUMNS)
        bad = f"  BAD: {', '.join(self.faults)}" if self.faults else ""
        return f"{self.fault:28}{counts}{bad}"

    def markdown(self) -> str:
        """Return the row for a document."""
        counts = " | ".join(str(getattr(self, name)) for name in COLUMNS)
        return f"| {self.fault} | {counts} |"


def head() -> str:
    """Return the head of the table for a terminal."""
    return f"{'fault':28}" + "".join(f"{name:>10}" for name in COLUMNS.values())


def markdown_head() -> str:
    """Return the head of the table for a document."""
    names = " | ".join(["fault", *COLUMNS.values()])
    return f"| {names} |\n|---|{'---:|' * len(COLUMNS)}"
