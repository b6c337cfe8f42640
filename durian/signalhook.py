"""Hooks that Django's signals raise."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models.signals import m2m_changed, post_delete, pre_delete
from django.dispatch import Signal

from durian.errors import ConfigurationError
from durian.fields import is_secret, value_of
from durian.hook import Hook


class SignalHook(Hook):
    """A hook that a Django signal raises; its payload is what the signal was sent with.

    `signal` is the signal; `sender` restricts it, None hears all senders. With `provides_args`
    only these of the signal's arguments are sent. An argument `using` of the signal names the
    database that the event goes to. Registering the hook connects it.
    """

    signal: Signal | None = None
    sender: Any = None

    def connect(self, sender: Any = None) -> None:
        """Raise an event whenever `sender` (default: the hook's own) sends the signal."""
        self._required_signal().connect(
            self._on_signal, sender=self._or_own(sender), weak=False, dispatch_uid=self._uid
        )

    def disconnect(self, sender: Any = None) -> None:
        """Stop what `connect(sender)` began."""
        self._required_signal().disconnect(sender=self._or_own(sender), dispatch_uid=self._uid)

    def registered(self) -> None:
        """Connect to the signal."""
        self.connect()

    def unregistered(self) -> None:
        """Disconnect from the signal."""
        self.disconnect()

    def prepare_payload(self, sender: Any, payload: dict[str, Any]) -> Mapping[str, Any] | None:
        """Return those of the signal's arguments that `provides_args` names, or all."""
        if not self.provides_args:
            return payload
        return {name: payload[name] for name in self.provides_args if name in payload}

    def _on_signal(self, sender: Any, signal: Signal, **arguments: Any) -> None:
        using = arguments.pop("using", None)
        self._raise([arguments], sender, using)

    def _or_own(self, sender: Any) -> Any:
        return self.sender if sender is None else sender

    def _required_signal(self) -> Signal:
        if self.signal is None:
            raise ConfigurationError(f"Hook {self.name!r} has no signal; set `signal = …`.")
        return self.signal

    @property
    def _uid(self) -> str:
        return f"durian.{self.name}"


class ModelHook(SignalHook):
    """A hook that a signal of a model raises, such as post_save; its payload are fields.

    `provides_args` names the fields. Without it all fields are sent but the primary key and those
    named or typed like a secret (password, token, secret, key). Fixtures (`raw`) raise no event.
    What a hook on post_delete sends is read before the row is deleted.
    """

    model: type[models.Model] | None = None

    def __init__(
        self,
        model: type[models.Model] | None = None,
        signal: Signal | None = None,
        **attributes: Any,
    ) -> None:
        if model is not None:
            attributes["model"] = model
        if signal is not None:
            attributes["signal"] = signal
        super().__init__(**attributes)
        if self.model is None:
            raise ConfigurationError(f"Hook {self.name!r} has no model; set `model = …`.")
        if not isinstance(self.model, type) or not issubclass(self.model, models.Model):
            raise ConfigurationError(
                f"Hook {self.name!r}: model is {self.model!r}; it must be the model's class: "
                "import it."
            )
        if self.signal is m2m_changed:
            raise ConfigurationError(
                f"Hook {self.name!r}: no model sends m2m_changed, the table between two does; make "
                "it a SignalHook with `sender = Model.field.through`."
            )
        self.sender = self.model
        self.provides_args = list(self.provides_args) or self.get_model_default_fields()

    def connect(self, sender: Any = None) -> None:
        """Raise an event whenever `sender` (default: the model) sends the signal."""
        super().connect(sender)
        if self.signal is post_delete:
            pre_delete.connect(
                self._on_pre_delete, sender=self._or_own(sender), weak=False, dispatch_uid=self._uid
            )

    def disconnect(self, sender: Any = None) -> None:
        """Stop what `connect(sender)` began."""
        super().disconnect(sender)
        if self.signal is post_delete:
            pre_delete.disconnect(sender=self._or_own(sender), dispatch_uid=self._uid)

    def send_many(
        self, payloads: Iterable[Any], *, sender: Any = None, using: str | None = None
    ) -> list[UUID]:
        """Raise an event for each instance of the model (or each payload) with one INSERT."""
        items = (
            {"instance": item} if isinstance(item, models.Model) else item for item in payloads
        )
        return super().send_many(items, sender=self._or_own(sender), using=using)

    def get_model_default_fields(self) -> list[str]:
        """Return the fields to send when `provides_args` names none."""
        assert self.model is not None  # noqa: S101  (the constructor has seen to it)
        return [
            field.name
            for field in self.model._meta.concrete_fields
            if not field.primary_key and not is_secret(field)
        ]

    def prepare_payload(self, sender: Any, payload: dict[str, Any]) -> Mapping[str, Any] | None:
        """Return the fields of `instance`; of a payload without an instance, what it names."""
        if payload.get("raw"):
            return None
        instance = payload.get("instance")
        if instance is None:
            return super().prepare_payload(sender, payload)
        if self._uid in vars(instance):
            values: dict[str, Any] | None = vars(instance).pop(self._uid)
            return values
        return self._values(instance)

    def _on_pre_delete(self, instance: models.Model, using: str | None = None, **_: object) -> None:
        # By post_delete nothing can be read from the row or through its relations any more. The
        # instance is the same one then. With fail_silently None stays: no event.
        vars(instance)[self._uid] = None
        with self._silently(using):
            vars(instance)[self._uid] = self._values(instance)

    def _values(self, instance: models.Model) -> dict[str, Any]:
        return {name: value_of(instance, name) for name in self.provides_args}
