"""What a simulated receiver does with a request, and what it tells of it."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from durian.errors import InvalidSignature
from durian.signing import verify

UNSIGNED = "-"
"""The verdict on a signature that nobody asked for."""


@dataclass(frozen=True)
class Behaviour:
    """How to answer.

    `statuses` are answered in turn, after `latency` seconds, and 500 in their place to a part
    `fail` (0 to 1) of the requests; `retry_after` is sent with all but 2xx. With `secrets`
    (`whsec_…` or `whpk_…`), 401 is the answer to what is not signed with one of them. `mode` names
    one of MODES, which disregards all of this, or of TLS_MODES, which does not get so far.
    """

    statuses: Sequence[int] = (200,)
    fail: float = 0.0
    latency: float = 0.0
    retry_after: str = ""
    secrets: Sequence[str] = field(default=(), repr=False)
    mode: str = "normal"
    draw: Callable[[], float] = random.random

    def judge(self, headers: Mapping[str, str], body: bytes) -> str:
        """Return "valid", or what is wrong with the signature. Raises InvalidSecret."""
        if not self.secrets:
            return UNSIGNED
        try:
            verify(headers, body, self.secrets)
        except InvalidSignature as error:
            return str(error)
        return "valid"

    def status(self, number: int, signature: str) -> int:
        """Return the status of the answer to request `number`, counted from 0."""
        if signature not in (UNSIGNED, "valid"):
            return HTTPStatus.UNAUTHORIZED.value
        if self.draw() < self.fail:
            return HTTPStatus.INTERNAL_SERVER_ERROR.value
        return self.statuses[number % len(self.statuses)]


@dataclass(frozen=True)
class Seen:
    """One request that came; `headers` by lower-case name, `status` 0 where a mode answers."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    signature: str
    status: int
