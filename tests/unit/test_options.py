from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverer.request import prepare
from durian.errors import ConfigurationError
from durian.options import KEYS, Options, from_config
from durian.policy import NO_RETRY, RetryPolicy

HOOK = Options(timeout=7, policy=RetryPolicy.schedule([1, 2]), rate=3)


def attempts(policy: RetryPolicy) -> int:
    """How many attempts a policy allows at most."""
    return int(policy.stop.max_attempt_number)  # type: ignore[attr-defined]


def test_what_a_listener_does_not_say_its_hook_says() -> None:
    assert from_config({}, HOOK) == HOOK


def test_what_a_listener_says_wins() -> None:
    config = {"timeout": 10, "rate": 5, "headers": {"X-Shop": "north"}}
    options = from_config(config, HOOK)
    assert (options.timeout, options.rate, options.headers) == (10, 5, {"X-Shop": "north"})
    assert options.policy == HOOK.policy


def test_a_listener_may_have_a_schedule_of_its_own() -> None:
    options = from_config({"retry": {"schedule": [5, 60, 300]}}, HOOK)
    assert attempts(options.policy) == 4


def test_a_listener_may_limit_the_retries() -> None:
    assert attempts(from_config({"max_retries": 1}, HOOK).policy) == 2
    assert attempts(from_config({"max_retries": 1, "retry": True}, HOOK).policy) == 2


def test_a_listener_may_have_one_attempt_only() -> None:
    assert from_config({"retry": False, "max_retries": 5}, HOOK).policy == NO_RETRY


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"colour": 1}, "'colour' is unknown"),
        ({"timeout": 0}, "timeout: must be a number from 0.1 to 30"),
        ({"timeout": 31}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": "3"}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"rate": -1}, "rate: must be a number from 0 to 10000"),
        ({"max_retries": 51}, "max_retries: must be a number from 0 to 50"),
        ({"retry": 3}, "retry: must be a JSON object"),
        ({"retry": {"schedule": "x"}}, "retry.schedule"),
        ({"headers": []}, "headers: must be a JSON object"),
        ({"headers": {"X Y": "z"}}, "'X Y' is no name of a header"),
        ({"headers": {"X": 3}}, "'X' is no name of a header with a text"),
        ({"headers": {"X": "a\r\nY: b"}}, "the value of 'X' must be of printable ASCII"),
        ({"headers": {"Webhook-Id": "x"}}, "'Webhook-Id' cannot be set"),
        ({"headers": {"host": "x"}}, "'host' cannot be set"),
        ({"headers": {f"X-{n}": "" for n in range(21)}}, "at most 20"),
    ],
)
def test_a_mistake_is_named_by_its_key(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        from_config(config, HOOK)


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "Content-Length",
        "CONTENT_TYPE",
        "transfer_encoding",
        "Transfer-Encoding",
        "webhook_id",
        "Webhook.Signature",
        "WEBHOOK-TIMESTAMP",
        "durian_hook",
        "Durian~Attempt",
        "proxy_authorization",
        "user-agent",
        "keep_alive",
        "Trailer",
    ],
)
def test_what_durian_or_http_says_nobody_else_says_in_any_spelling(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be set; durian or HTTP does that"):
        from_config({"headers": {name: "x"}}, HOOK)


@pytest.mark.parametrize("name", ["X: y", "X ", " X", "X\r\nY", "X\0", "Ünicode", "", "x" * 101])
def test_a_name_is_one_word_of_ascii(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name of a header"):
        from_config({"headers": {name: "x"}}, HOOK)


@pytest.mark.parametrize("value", [" a", "a\nb", "a\rb", "\0", "é", "\x7f", "\ud800", "x" * 1001])
def test_a_value_is_one_line_of_ascii(value: str) -> None:
    with pytest.raises(ConfigurationError, match="must be of printable ASCII"):
        from_config({"headers": {"X": value}}, HOOK)


def test_a_name_is_there_once_in_whichever_case() -> None:
    with pytest.raises(ConfigurationError, match="a name may be there once"):
        from_config({"headers": {"X-Team": "red", "x-team": "blue"}}, HOOK)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
RETRY = st.fixed_dictionaries({}, optional={"schedule": ANYTHING, "jitter": ANYTHING})


@given(
    st.dictionaries(st.sampled_from([*KEYS, "other"]), ANYTHING | RETRY)
    | st.dictionaries(st.just("headers"), st.dictionaries(st.text(), ANYTHING))
)
def test_any_json_is_a_configuration_that_works_or_is_refused(config: dict[str, Any]) -> None:
    try:
        options = from_config(config, HOOK)
    except ConfigurationError:
        return
    assert 0.1 <= options.timeout <= 30
    assert 0 <= options.rate <= 10_000
    delay = options.policy.delay(1, 0.0, 1.0)
    assert delay is None or 0 <= delay <= 7 * 24 * 3600
    template = prepare("http://where.joe/", options.headers)
    assert not any("\n" in f"{name}{value}" for name, value in template.headers.items())


def test_the_value_of_a_header_is_in_no_message() -> None:
    with pytest.raises(ConfigurationError) as raised:
        from_config({"headers": {"Authorization": "hunter2\n"}}, HOOK)
    assert "hunter2" not in str(raised.value)
