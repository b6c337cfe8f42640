"""Which hooks there are, by name."""

from collections.abc import Iterator

from durian.errors import AlreadyRegistered, NotRegistered
from durian.hook import Hook

__all__ = ["AlreadyRegistered", "HookRegistry", "NotRegistered", "hooks"]


class HookRegistry:
    """Hooks by name; a hook's class and an instance of it are registered alike."""

    AlreadyRegistered = AlreadyRegistered
    NotRegistered = NotRegistered

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}

    def register(self, hook: Hook | type[Hook]) -> Hook:
        """Add and return a hook; one of a signal is connected. Raises AlreadyRegistered."""
        instance = hook() if isinstance(hook, type) else hook
        if instance.name in self._hooks:
            raise AlreadyRegistered(
                f"A hook {instance.name!r} is registered already: {self._hooks[instance.name]!r}. "
                "Names must be unique."
            )
        instance.registered()
        self._hooks[instance.name] = instance
        return instance

    def unregister(self, hook: Hook | type[Hook] | str) -> None:
        """Remove a hook, by itself, its class or its name. Raises NotRegistered."""
        name = hook if isinstance(hook, str) else hook.name
        self[name].unregistered()
        del self._hooks[name]

    def __getitem__(self, name: str) -> Hook:
        try:
            return self._hooks[name]
        except KeyError:
            raise NotRegistered(f"No hook {name!r} is registered.") from None

    def __contains__(self, name: object) -> bool:
        return name in self._hooks

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._hooks))

    def __len__(self) -> int:
        return len(self._hooks)

    def get(self, name: str) -> Hook | None:
        """Return the hook of that name, None if there is none."""
        return self._hooks.get(name)

    def all(self) -> list[Hook]:
        """Return all hooks in the order of their names."""
        return [self._hooks[name] for name in self]


hooks = HookRegistry()
