import re
from typing import Any

import pytest
from django import forms
from django.contrib.auth.models import User
from django.dispatch import Signal

from durian.errors import ConfigurationError
from durian.event import Hook, IntermediateListener, ModelHook, SignalHook
from durian.options import Options
from durian.policy import DEFAULT_POLICY, NO_RETRY, RetryPolicy


class ConfigForm(forms.Form):
    url = forms.CharField()


ATTRIBUTES: dict[str, Any] = {
    "verbose_name": "An order was paid",
    "timeout": 9,
    "retry": False,
    "max_retries": 2,
    "policy": RetryPolicy.schedule([1]),
    "fail_silently": True,
    "config_form": ConfigForm,
    "provides_args": ["order", "total"],
    "match_forms": ConfigForm,
    "envelope": "standard",
    "archive": False,
    "asynchronous": False,
}


def test_a_name_is_all_that_a_hook_needs() -> None:
    hook = Hook(name="order.paid")
    assert (hook.name, hook.verbose_name, hook.timeout) == ("order.paid", "order.paid", 4)
    assert hook.asynchronous
    assert hook.archive
    assert not hook.fail_silently
    assert repr(hook) == "<Hook order.paid>"


@pytest.mark.parametrize("key", ATTRIBUTES)
def test_whatever_is_an_argument_is_an_attribute_of_a_subclass(key: str) -> None:
    by_argument = Hook("order.paid", **{key: ATTRIBUTES[key]})
    by_subclass = type("Paid", (Hook,), {"name": "order.paid", key: ATTRIBUTES[key]})()
    assert getattr(by_argument, key) == getattr(by_subclass, key) == ATTRIBUTES[key]


@pytest.mark.parametrize("key", ATTRIBUTES)
def test_the_argument_wins_over_the_attribute(key: str) -> None:
    kind = type("Paid", (Hook,), {"name": "order.paid", key: ATTRIBUTES[key]})
    another = {"envelope": "plain", "max_retries": 3}
    argument = another.get(key) or getattr(Hook, key) or ["another"]
    assert getattr(kind(**{key: argument}), key) == argument != ATTRIBUTES[key]


def test_async_is_still_taken_though_python_took_the_word() -> None:
    assert Hook("myhook", **{"async": False}).asynchronous is False


@pytest.mark.parametrize("key", ["colour", "send", "options", "connect", "_raise", "__init__"])
def test_what_is_no_attribute_is_no_argument(key: str) -> None:
    with pytest.raises(TypeError, match=f"SignalHook takes no argument '{key}'"):
        SignalHook("myhook", **{key: 1})


def test_a_subclass_may_have_attributes_of_its_own() -> None:
    class Regional(Hook):
        region = "north"

    assert Regional("myhook", region="south").region == "south"


@pytest.mark.parametrize(
    "name", ["", "order paid", "order..paid", ".paid", "order.*", "é", "a" * 201]
)
def test_a_name_must_be_words_joined_by_dots(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name for a hook"):
        Hook(name=name)


def test_an_unknown_envelope_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'myhook': envelope is 'xml'.*plain, standard"):
        Hook("myhook", envelope="xml")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", "4"),
        ("timeout", None),
        ("timeout", 60),
        ("max_retries", "3"),
        ("max_retries", -1),
        ("policy", [1, 2]),
    ],
)
def test_options_that_no_delivery_could_have_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"'myhook': {option}.* must be a"):
        Hook("myhook", **{option: value})


def test_one_name_that_is_no_list_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'myhook': provides_args is .*: \['total'\]\."):
        Hook("myhook", provides_args="total")


def test_the_options_are_what_the_hook_says() -> None:
    policy = RetryPolicy.schedule([1, 2, 3])
    assert Hook("myhook").options == Options(timeout=4, policy=DEFAULT_POLICY)
    assert Hook("myhook", timeout=9, policy=policy).options == Options(timeout=9, policy=policy)
    assert Hook("myhook", retry=False, max_retries=5).options.policy.stop is not policy.stop
    assert Hook("myhook", retry=False).options.policy == NO_RETRY


def test_a_hook_without_a_signal_cannot_be_connected() -> None:
    with pytest.raises(ConfigurationError, match="'myhook' has no signal"):
        SignalHook("myhook").connect()


def test_a_hook_without_a_model_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'myhook' has no model"):
        ModelHook(signal=Signal(), name="myhook")


@pytest.mark.parametrize("model", ["people.Person", User.objects, dict])
def test_a_model_that_is_no_class_of_a_model_is_refused(model: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"'myhook': model is {re.escape(repr(model))}"):
        ModelHook(model, Signal(), name="myhook")


def test_the_event_filter_asks_the_filter_language() -> None:
    hook = Hook("myhook")
    assert hook.event_filter(None, {"name": "Joe"}, {"name": {"$startsWith": "J"}})
    assert not hook.event_filter(None, {"name": "Moe"}, {"name": {"$startsWith": "J"}})
    assert hook.event_filter(None, {"name": "Moe"}, {})
    assert hook.event_filter(None, {"name": "Moe"}, None)


def test_conditions_add_up_in_a_listener_to_be() -> None:
    listener = Hook("myhook").listener(url="https://example.com/", match={"a": 1}, timeout=3)
    assert isinstance(listener, IntermediateListener)
    assert listener.match({"b": 2}, c=3).match(a=4).conditions == {"a": 4, "b": 2, "c": 3}
    assert listener.config == {"timeout": 3}
