"""Nothing private is reached, whatever a URL says and whatever its name resolves to.

The calls are made in a network namespace with a DNS of its own (tests/servers/internet.py), where a
receiver listens at each address, the private ones included: what is asserted is which of them a
connection came to.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from pytest_django.fixtures import Settings

from durian.forms import HookConfigForm
from tests.integration.calls import DEADLINE, Call, Outcome, make
from tests.integration.conformance import WAYS
from tests.servers.internet import LOOPBACK, PORT, PRIVATE, PUBLIC, PUBLIC_V6, available

OPEN = {
    "a name of a public address": (f"http://WAY.public.example:{PORT}/", PUBLIC),
    "a name of a public IPv6 address": (f"http://WAY.public6.example:{PORT}/", PUBLIC_V6),
    "a name with a trailing dot": (f"http://WAY.public.example.:{PORT}/", PUBLIC),
    "a name in international letters": (f"http://bücher.example:{PORT}/", PUBLIC),
    "a name in /etc/hosts": (f"http://listed.example:{PORT}/", PUBLIC),
    "a public address": (f"http://{PUBLIC}:{PORT}/", PUBLIC),
    "a public address in one number": (f"http://1572395042:{PORT}/", PUBLIC),
    "several addresses of which one is private": (f"http://WAY.several.example:{PORT}/", PUBLIC),
    "a private IPv6 address and a public IPv4 one": (f"http://WAY.both.example:{PORT}/", PUBLIC),
}
"""URLs that are called, and the one address that may be reached by each."""

REFUSED_AT_CONNECT = {
    "a name of a private address": f"http://WAY.private.example:{PORT}/",
    "a name with a trailing dot": f"http://WAY.private.example.:{PORT}/",
    "several private addresses": f"http://WAY.inside.example:{PORT}/",
    "a name in /etc/hosts": f"http://listed-inside.example:{PORT}/",
    "IPv4 mapped into IPv6": f"http://WAY.mapped.example:{PORT}/",
    "IPv4-compatible IPv6": f"http://WAY.compatible.example:{PORT}/",
    "IPv4 translated into IPv6": f"http://WAY.translated.example:{PORT}/",
    "NAT64": f"http://WAY.nat64.example:{PORT}/",
    "NAT64 of local use": f"http://WAY.nat64-local.example:{PORT}/",
    "6to4": f"http://WAY.6to4.example:{PORT}/",
    "Teredo": f"http://WAY.teredo.example:{PORT}/",
    "ISATAP": f"http://WAY.isatap.example:{PORT}/",
}
"""URLs in which nothing can be seen before their names are resolved."""

REFUSED_AT_SIGHT = {
    "a private address": f"http://{PRIVATE}:{PORT}/",
    "a trailing dot": f"http://{PRIVATE}.:{PORT}/",
    "decimal": f"http://167838211:{PORT}/",
    "octal": f"http://012.01.02.03:{PORT}/",
    "hexadecimal": f"http://0xa010203:{PORT}/",
    "mixed and short": f"http://0xa.66051:{PORT}/",
    "full-width digits": f"http://\uff11\uff10.\uff11.\uff12.\uff13:{PORT}/",
    "full-width dots": f"http://10\uff0e1\u30022\uff613:{PORT}/",
    "a soft hyphen": f"http://10.1.2.\u00ad3:{PORT}/",
    "a zero-width joiner": f"http://10.1\u200d.2.3:{PORT}/",
    "percent-encoded": f"http://%31%30.1.2.3:{PORT}/",
    "circled digits": f"http://⑩.①.②.③:{PORT}/",
    "loopback": f"http://127.1:{PORT}/",
    "zero": f"http://0:{PORT}/",
    "IPv6 loopback": f"http://[::1]:{PORT}/",
    "IPv4 mapped into IPv6": f"http://[::ffff:{PRIVATE}]:{PORT}/",
    "IPv4-compatible IPv6": f"http://[::{PRIVATE}]:{PORT}/",
    "IPv4 translated into IPv6": f"http://[::ffff:0:{PRIVATE}]:{PORT}/",
    "NAT64": f"http://[64:ff9b::{PRIVATE}]:{PORT}/",
    "NAT64 of local use": f"http://[64:ff9b:1::{PRIVATE}]:{PORT}/",
    "6to4": f"http://[2002:a01:203::1]:{PORT}/",
    "Teredo": f"http://[2001:0:a01:203::1]:{PORT}/",
    "ISATAP": f"http://[2606:2800::5efe:a01:203]:{PORT}/",
    "a zone id": f"http://[fe80::1%25lo]:{PORT}/",
    "a zone id, unquoted": f"http://[fe80::1%lo]:{PORT}/",
    "a zone id of loopback": f"http://[::1%25lo]:{PORT}/",
    "localhost": f"http://localhost:{PORT}/",
    "localhost with a trailing dot": f"http://localhost.:{PORT}/",
    "localhost in other letters": f"http://LOCALHOSt:{PORT}/",
    "localhost in circled letters": f"http://ⓛocalhost:{PORT}/",
    "a name below localhost": f"http://any.localhost:{PORT}/",
    "user-info": f"http://{PUBLIC}@{PRIVATE}:{PORT}/",
    "user-info with a password": f"http://me:hush@WAY.public.example:{PORT}/",
    "a backslash": f"http://{PUBLIC}:{PORT}\\@{PRIVATE}:{PORT}/",
    "a line break": f"http://{PUBLIC}:{PORT}/\r\nHost: {PRIVATE}",
    "a metadata service": "http://169.254.169.254/latest/meta-data/",
    "a unix socket": "unix:///var/run/docker.sock",
    "HTTP over a unix socket": "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "a file": "file:///etc/passwd",
    "gopher": f"gopher://{PRIVATE}:{PORT}/_POST",
    "FTP": f"ftp://{PRIVATE}/",
    "dict": f"dict://{PRIVATE}:{PORT}/info",
    "no host": f"http://:{PORT}/",
    "port 0": f"http://{PUBLIC}:0/",
    "no number as port": f"http://{PUBLIC}:http/",
}
"""URLs that are refused before anything is resolved."""

SILENT = f"http://WAY.silent.example:{PORT}/"
HALF_DOWN = f"http://WAY.half-down.example:{PORT}/"
REBINDING = Call(f"http://WAY.rebinding.example:{PORT}/", "", times=3)
ALLOWED = {
    "a network": Call(f"http://{PRIVATE}:{PORT}/", "", allow_networks=["10.0.0.0/8"]),
    "a network, by a name": Call(
        f"http://WAY.private.example:{PORT}/", "", allow_networks=["10.0.0.0/8"]
    ),
    "a host": Call(f"http://private.example:{PORT}/", "", allow_hosts=["Private.example."]),
    "a port": Call(
        f"http://{PRIVATE}:{PORT}/", "", allow_networks=["10.0.0.0/8"], allow_ports=[443, PORT]
    ),
}
NOT_ALLOWED = {
    "another network": Call(f"http://{PRIVATE}:{PORT}/", "", allow_networks=["10.1.2.4/32"]),
    "another host": Call(
        f"http://other.private.example:{PORT}/", "", allow_hosts=["private.example"]
    ),
    "another port": Call(f"http://WAY.public.example:{PORT}/", "", allow_ports=[80, 443]),
}

Outcomes = Mapping[str, Sequence[Outcome]]


def _calls() -> Iterator[Call]:
    urls = [*(url for url, _ in OPEN.values()), *REFUSED_AT_CONNECT.values(), SILENT, HALF_DOWN]
    plain = [Call(url, "") for url in [*urls, *REFUSED_AT_SIGHT.values()]]
    for call in [*plain, REBINDING, *ALLOWED.values(), *NOT_ALLOWED.values()]:
        yield from (by(way, call) for way in WAYS)


def by(way: str, call: Call | str) -> Call:
    """Return `call` as made in `way`, which is part of the name that is looked up."""
    call = Call(call, way) if isinstance(call, str) else call
    return replace(call, way=way, url=call.url.replace("WAY", way))


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    """What came of all the calls, by their repr."""
    if not available():
        pytest.skip("needs unprivileged user namespaces, unshare (util-linux) and ip (iproute2)")
    calls = list(_calls())
    return dict(zip(map(repr, calls), make(calls), strict=True))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way to make an exchange."""
    return str(request.param)


@pytest.mark.parametrize("name", OPEN)
def test_called(outcomes: Outcomes, way: str, name: str) -> None:
    url, address = OPEN[name]
    (outcome,) = outcomes[repr(by(way, url))]
    assert (outcome.status, outcome.reached) == (200, [address]), outcome.error


@pytest.mark.parametrize("name", REFUSED_AT_CONNECT)
def test_refused_at_connect(outcomes: Outcomes, way: str, name: str) -> None:
    (outcome,) = outcomes[repr(by(way, REFUSED_AT_CONNECT[name]))]
    assert outcome.reached == []
    assert outcome.error.startswith("AddressRefused")
    assert outcome.permanent


@pytest.mark.parametrize("name", REFUSED_AT_SIGHT)
def test_a_form_refuses_it_early(name: str, settings: Settings) -> None:
    settings.DURIAN = {}
    form = HookConfigForm({"url": REFUSED_AT_SIGHT[name].replace("WAY", "form")})
    assert form.errors["url"]
    assert "hush" not in str(form.errors)


@pytest.mark.parametrize("name", REFUSED_AT_SIGHT)
def test_refused_at_sight(outcomes: Outcomes, way: str, name: str) -> None:
    (outcome,) = outcomes[repr(by(way, REFUSED_AT_SIGHT[name]))]
    assert outcome.reached == []
    assert outcome.error.startswith(("AddressRefused", "InvalidURL"))
    assert outcome.permanent
    assert "hush" not in outcome.error


def test_a_name_that_changes_between_two_look_ups(outcomes: Outcomes, way: str) -> None:
    first, second, third = outcomes[repr(by(way, REBINDING))]
    assert (first.status, first.reached) == (200, [PUBLIC])
    assert PRIVATE in second.error
    assert LOOPBACK in third.error
    assert second.reached == third.reached == []


def test_a_private_address_and_a_public_one_that_is_down_for_now(
    outcomes: Outcomes, way: str
) -> None:
    (outcome,) = outcomes[repr(by(way, HALF_DOWN))]
    assert outcome.reached == []
    assert outcome.error.startswith("ConnectionFailed")
    assert not outcome.permanent


def test_a_name_server_that_never_answers(outcomes: Outcomes, way: str) -> None:
    (outcome,) = outcomes[repr(by(way, SILENT))]
    assert outcome.error.startswith("DeadlineExceeded")
    assert "Resolving" in outcome.error
    assert not outcome.permanent
    assert outcome.seconds < DEADLINE + 1


@pytest.mark.parametrize("name", ALLOWED)
def test_the_allow_list_opens(outcomes: Outcomes, way: str, name: str) -> None:
    (outcome,) = outcomes[repr(by(way, ALLOWED[name]))]
    assert (outcome.status, outcome.reached) == (200, [PRIVATE]), outcome.error


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_the_allow_list_opens_nothing_else(outcomes: Outcomes, way: str, name: str) -> None:
    (outcome,) = outcomes[repr(by(way, NOT_ALLOWED[name]))]
    assert outcome.reached == []
    assert outcome.error.startswith("AddressRefused")
