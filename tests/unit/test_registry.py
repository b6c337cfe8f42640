import pytest
from django.dispatch import Signal

from durian.errors import ConfigurationError
from durian.event import Hook, SignalHook
from durian.registry import AlreadyRegistered, HookRegistry, NotRegistered, hooks


class MyHook(Hook):
    name = "myhook"


@pytest.mark.parametrize("hook", [MyHook, MyHook(), Hook(name="myhook")])
def test_a_class_and_an_instance_are_registered_alike(hook: Hook | type[Hook]) -> None:
    registry = HookRegistry()
    registered = registry.register(hook)
    assert registry["myhook"] is registry.get("myhook") is registered
    assert isinstance(registered, Hook)
    assert "myhook" in registry


@pytest.mark.parametrize("key", [MyHook, MyHook(), "myhook"])
def test_a_hook_leaves_by_name_class_or_instance(key: Hook | type[Hook] | str) -> None:
    registry = HookRegistry()
    registry.register(MyHook)
    registry.unregister(key)
    assert "myhook" not in registry
    with pytest.raises(NotRegistered, match="No hook 'myhook' is registered"):
        registry.unregister(key)


def test_no_two_hooks_have_one_name() -> None:
    registry = HookRegistry()
    first = registry.register(MyHook)
    with pytest.raises(AlreadyRegistered, match="<MyHook myhook>"):
        registry.register(Hook(name="myhook"))
    assert registry["myhook"] is first


def test_the_errors_are_found_on_the_registry_too() -> None:
    assert hooks.AlreadyRegistered is AlreadyRegistered
    assert hooks.NotRegistered is NotRegistered
    with pytest.raises(KeyError):
        hooks["nobody"]


def test_hooks_come_in_the_order_of_their_names() -> None:
    registry = HookRegistry()
    for name in ("order.paid", "article", "person"):
        registry.register(Hook(name=name))
    assert list(registry) == ["article", "order.paid", "person"]
    assert [hook.name for hook in registry.all()] == list(registry)
    assert len(registry) == 3


def test_registering_connects_and_unregistering_disconnects() -> None:
    signal = Signal()
    registry = HookRegistry()
    registry.register(SignalHook(name="rung", signal=signal))
    assert signal.has_listeners()
    registry.unregister("rung")
    assert not signal.has_listeners()


def test_a_hook_that_cannot_be_connected_is_not_registered() -> None:
    registry = HookRegistry()
    with pytest.raises(ConfigurationError):
        registry.register(SignalHook(name="rung"))
    assert "rung" not in registry
