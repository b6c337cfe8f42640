"""No listener's name holds up another's, and an attempt says what was wrong with a name.

Names are resolved in a network namespace with a DNS of its own (tests/servers/internet.py).
"""

from collections.abc import Mapping
from typing import Any

import pytest

from deliverer.resolver import MAX_ADDRESSES
from tests.integration.lookups import CAUSES, PATIENCE, SILENT, measure
from tests.servers.internet import PUBLIC, SLOW, available


@pytest.fixture(scope="module")
def measured() -> Mapping[str, Any]:
    """What came of each experiment of tests/integration/lookups.py."""
    if not available():
        pytest.skip("needs unprivileged user namespaces, unshare (util-linux) and ip (iproute2)")
    return measure()


def test_name_servers_that_never_answer_hold_up_nobody_else(measured: Mapping[str, Any]) -> None:
    found = measured["silence"]
    assert found["prompt"]["status"] == 200, found["prompt"]
    # In milliseconds as a rule; libcurl alone took until the others were given up.
    assert found["prompt"]["seconds"] < min(outcome["seconds"] for outcome in found["silent"])
    assert found["threads"] <= 1
    assert len(found["silent"]) == SILENT
    for outcome in found["silent"]:
        assert outcome["error"].startswith("DeadlineExceeded")
        assert "no name server had answered" in outcome["error"]
        assert outcome["seconds"] < PATIENCE + 1


def test_every_attempt_at_a_silent_name_ends_by_its_own_deadline(
    measured: Mapping[str, Any],
) -> None:
    for outcome in measured["recovery"]["outcomes"]:
        assert "within 0.2 s" in outcome["error"]
        assert not outcome["permanent"]


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        ("absent", "The name why.absent.example does not exist."),
        ("empty", "The name why.empty.example has no address."),
        ("failing", "The name server failed when asked for why.failing.example."),
        ("refusing", "The name server refuses to be asked for why.refusing.example."),
        ("silent", "no name server had answered when asked for why.silent.example."),
    ],
)
def test_the_cause_is_named(measured: Mapping[str, Any], cause: str, text: str) -> None:
    assert cause in CAUSES
    assert text in measured["causes"][cause]


def test_a_name_server_that_has_to_ask_others_is_waited_for(measured: Mapping[str, Any]) -> None:
    assert measured["slowness"]["status"] == 200, measured["slowness"]
    assert SLOW["slow.example"] <= measured["slowness"]["seconds"] < SLOW["slow.example"] + 1


def test_a_change_of_resolv_conf_is_seen(measured: Mapping[str, Any]) -> None:
    assert "No name server could be reached" in measured["reconfiguration"]["nobody"]
    assert measured["reconfiguration"]["again"]["status"] == 200


def test_an_answer_is_kept_for_a_moment_and_then_asked_for_anew(
    measured: Mapping[str, Any],
) -> None:
    found = measured["keeping"]
    assert {outcome["status"] for outcome in found["first"]} == {200}
    assert found["questions"] == 1
    assert found["later"]["error"].startswith("AddressRefused")
    assert found["reached"] == [PUBLIC]


def test_no_more_than_some_addresses_of_a_name_are_tried(measured: Mapping[str, Any]) -> None:
    assert measured["many"]["outcome"]["error"].startswith("AddressRefused")
    assert measured["many"]["tried"] == MAX_ADDRESSES


def test_no_more_than_some_names_are_asked_for_at_once(measured: Mapping[str, Any]) -> None:
    errors = measured["crowd"]["errors"]
    assert sum("Too many names" in error for error in errors) == 5
    assert sum("no name server had answered" in error for error in errors) == 10


def test_behind_a_proxy_names_are_the_proxys_to_resolve(measured: Mapping[str, Any]) -> None:
    assert measured["proxied"]["asked"] == ["CONNECT by-proxy.silent.example:443"]
    assert "no name server" not in measured["proxied"]["outcome"]["error"]


def test_an_engine_stops_though_a_name_server_is_silent(measured: Mapping[str, Any]) -> None:
    assert "stopped" in measured["stopping"]["error"]
    assert measured["stopping"]["seconds"] < 1
