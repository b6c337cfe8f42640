"""What can happen: hooks, from Django's signals or raised by hand."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models, router, transaction
from django.db.models.fields.files import FieldFile
from django.dispatch import Signal

from durian import match, outbox
from durian.body import ENVELOPES, PLAIN, encode_body
from durian.errors import ConfigurationError
from durian.models import Event, Listener
from durian.names import check_name, fits, is_pattern
from durian.options import DEFAULT_TIMEOUT, Options
from durian.policy import DEFAULT_POLICY, NO_RETRY, RetryPolicy

if TYPE_CHECKING:
    from django import forms

logger = logging.getLogger("durian")

SECRET_WORDS = ("password", "passwd", "token", "secret", "credential", "encrypted")
SECRET_PARTS = ("key", "hash", "salt", "pin")


class Sent(NamedTuple):
    """What `send` returns: the event's id, and, of a hook that dispatches in-process, the outcomes.

    In a transaction the outcomes come with its commit: the list fills then.
    """

    id: UUID
    outcomes: list[Any]


class Hook:
    """Something that can happen, by name; listeners subscribe to it.

    Every argument of the constructor is an attribute that a subclass may set instead; the argument
    wins. `timeout` is in seconds for a whole exchange; `retry` says whether a failed delivery is
    tried again, at most `max_retries` times and when `policy` says (RetryPolicy); `fail_silently`
    logs an event that cannot be recorded instead of raising; `provides_args` names the payload's
    keys, for the filter form; `envelope` is "plain" (the payload is the body) or "standard" (type,
    timestamp and data, after Standard Webhooks); `archive = False` deletes events once they are
    published; `asynchronous = False` (or `**{"async": False}`) delivers in this process, one
    attempt, when the transaction commits: for development.
    """

    name: str = ""
    verbose_name: str = ""
    timeout: float = DEFAULT_TIMEOUT
    retry: bool = True
    max_retries: int | None = None
    policy: RetryPolicy = DEFAULT_POLICY
    fail_silently: bool = False
    config_form: "type[forms.Form] | None" = None
    provides_args: Sequence[str] = ()
    match_forms: "type[forms.Form] | None" = None
    envelope: str = PLAIN
    archive: bool = True
    asynchronous: bool = True

    def __init__(self, name: str | None = None, **attributes: Any) -> None:
        if "async" in attributes:
            attributes["asynchronous"] = attributes.pop("async")
        if name is not None:
            attributes["name"] = name
        for key, value in attributes.items():
            if not hasattr(type(self), key) or callable(getattr(Hook, key, None)):
                raise TypeError(f"{type(self).__name__} takes no argument {key!r}.")
            setattr(self, key, value)
        check_name(self.name)
        if self.envelope not in ENVELOPES:
            raise ConfigurationError(
                f"Hook {self.name!r}: envelope is {self.envelope!r}; it must be one of "
                f"{', '.join(ENVELOPES)}."
            )
        self.verbose_name = self.verbose_name or self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def send(self, sender: Any = None, **payload: Any) -> Sent | None:
        """Raise an event with `payload`, in the current transaction.

        Returns None when `prepare_payload` says that there is nothing to send, or when it failed
        silently. Raises PayloadError for a payload that is no JSON or too large.
        """
        return self._send(sender, payload, using=None)

    def send_many(
        self, payloads: Iterable[Any], *, sender: Any = None, using: str | None = None
    ) -> list[UUID]:
        """Raise an event for each of `payloads` with one INSERT, and return the events' ids.

        For what raises no signal: `bulk_create`, `update`, raw SQL. `using` is the database.
        """
        prepared = (self.prepare_payload(sender, dict(payload)) for payload in payloads)
        bodies = [self._encode(payload) for payload in prepared if payload is not None]
        return [event.id for event in self._record(bodies, using)] if bodies else []

    def prepare_payload(self, sender: Any, payload: dict[str, Any]) -> Mapping[str, Any] | None:
        """Return what is sent for what `send` was given; None raises no event. For subclasses."""
        return payload

    def event_filter(
        self, sender: Any, payload: Mapping[str, Any], match_dict: Mapping[str, Any] | None
    ) -> bool:
        """Say whether a listener with the filter `match_dict` receives `payload`. For subclasses.

        A subclass's own filter is asked by the matcher, where `sender` is None, for each of the
        hook's listeners: the index of filters does not help there.
        """
        return match.parse(match_dict or {}).matches(payload)

    def get_listeners(self, sender: Any, payload: Mapping[str, Any]) -> list[Listener]:
        """Return the listeners that receive `payload`, read from the database."""
        active = Listener.objects.active()
        return [
            listener
            for listener in active
            if self._is_asked_for_by(listener)
            and self.event_filter(sender, payload, listener.match)
        ]

    def listener(self, form: "forms.Form | None" = None, **fields: Any) -> "IntermediateListener":
        """Begin a listener from a bound `config_form` or from `url=…`, `match=…` and options."""
        if form is not None:
            fields = {**_cleaned(form), **fields}
        return IntermediateListener(self, **fields)

    def add_listener(
        self, url: str, match: Mapping[str, Any] | None = None, **config: Any
    ) -> Listener:
        """Save and return a listener with `url`, the filter `match` and options (`timeout` …)."""
        return self.listener(url=url, match=match or {}, **config).save()

    def add_listener_by_form(
        self, form: "forms.Form", match: Mapping[str, Any] | None = None
    ) -> Listener:
        """Save and return the listener that a bound `config_form` says."""
        return self.listener(form, match=match or {}).save()

    def get_match_forms(self, **kwargs: Any) -> "forms.Form":
        """Return the filter form: `match_forms`, or one made from `provides_args`."""
        # App loading: forms need the settings, and hooks may be made before these are read.
        from durian.forms import create_match_forms

        form = self.match_forms or create_match_forms(self.name, self.provides_args)
        return form(**kwargs)

    def apply_match_forms(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the filter, as JSON, that the filter form's `data` says.

        Raises django.core.exceptions.ValidationError when the form is not valid.
        """
        form = self.get_match_forms(data=data)
        return dict(_cleaned(form)["match"])

    @property
    def options(self) -> Options:
        """How this hook's listeners are called unless they say otherwise."""
        policy = self.policy if self.retry else NO_RETRY
        if self.max_retries is not None:
            policy = policy.limited(self.max_retries)
        return Options(timeout=self.timeout, policy=policy)

    def registered(self) -> None:
        """Do what is to be done when the hook enters the registry. For subclasses."""

    def unregistered(self) -> None:
        """Undo what `registered` did. For subclasses."""

    def _send(self, sender: Any, payload: dict[str, Any], using: str | None) -> Sent | None:
        if not self.fail_silently:
            return self._send_or_raise(sender, payload, using)
        try:
            # The savepoint keeps the caller's transaction usable when the INSERT fails.
            with transaction.atomic(using=using or router.db_for_write(Event)):
                return self._send_or_raise(sender, payload, using)
        except Exception:
            logger.exception("An event of %r was not recorded.", self.name)
            return None

    def _send_or_raise(
        self, sender: Any, payload: dict[str, Any], using: str | None
    ) -> Sent | None:
        prepared = self.prepare_payload(sender, payload)
        if prepared is None:
            return None
        (event,) = self._record([self._encode(prepared)], using)
        outcomes: list[Any] = []
        if not self.asynchronous:
            outbox.dispatch_on_commit(event, outcomes)
        return Sent(event.id, outcomes)

    def _encode(self, payload: Mapping[str, Any]) -> str:
        return encode_body(self.name, self.envelope, payload)

    def _record(self, bodies: list[str], using: str | None) -> list[Event]:
        return outbox.record(
            self.name,
            bodies,
            envelope=self.envelope,
            archive=self.archive,
            using=using,
            published=not self.asynchronous,
        )

    def _is_asked_for_by(self, listener: Listener) -> bool:
        if is_pattern(listener.hook):
            return fits(listener.hook, self.name)
        return listener.hook == self.name


class SignalHook(Hook):
    """A hook that a Django signal raises; its payload is what the signal was sent with.

    `signal` is the signal; `sender` restricts it, None hears all senders. With `provides_args`
    only these of the signal's arguments are sent. Registering the hook connects it.
    """

    signal: Signal | None = None
    sender: Any = None

    def connect(self, sender: Any = None) -> None:
        """Raise an event whenever `sender` (default: anybody) sends the signal."""
        self._required_signal().connect(
            self._on_signal, sender=sender, weak=False, dispatch_uid=self._uid
        )

    def disconnect(self, sender: Any = None) -> None:
        """Stop what `connect(sender)` began."""
        self._required_signal().disconnect(sender=sender, dispatch_uid=self._uid)

    def registered(self) -> None:
        """Connect to the signal."""
        self.connect(self.sender)

    def unregistered(self) -> None:
        """Disconnect from the signal."""
        self.disconnect(self.sender)

    def prepare_payload(self, sender: Any, payload: dict[str, Any]) -> Mapping[str, Any] | None:
        """Return those of the signal's arguments that `provides_args` names, or all."""
        if not self.provides_args:
            return payload
        return {name: payload[name] for name in self.provides_args if name in payload}

    def _on_signal(self, sender: Any, signal: Signal, **arguments: Any) -> None:
        self._send(sender, arguments, using=arguments.pop("using", None))

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
        self.sender = self.model
        self.provides_args = list(self.provides_args) or self.get_model_default_fields()

    def send_many(
        self, payloads: Iterable[Any], *, sender: Any = None, using: str | None = None
    ) -> list[UUID]:
        """Raise an event for each instance of the model (or each payload) with one INSERT."""
        items = (
            {"instance": item} if isinstance(item, models.Model) else item for item in payloads
        )
        return super().send_many(items, sender=sender or self.model, using=using)

    def get_model_default_fields(self) -> list[str]:
        """Return the fields to send when `provides_args` names none."""
        assert self.model is not None
        return [
            field.name
            for field in self.model._meta.concrete_fields
            if not field.primary_key and not _looks_secret(field)
        ]

    def prepare_payload(self, sender: Any, payload: dict[str, Any]) -> Mapping[str, Any] | None:
        """Return the fields of `instance`; of a payload without an instance, what it names."""
        if payload.get("raw"):
            return None
        instance = payload.get("instance")
        if instance is None:
            return super().prepare_payload(sender, payload)
        return {name: _value(instance, name) for name in self.provides_args}


class IntermediateListener:
    """A listener that is not saved yet: `hook.listener(url=…).match(name="Joe").save()`."""

    def __init__(
        self,
        hook: Hook,
        url: str = "",
        match: Mapping[str, Any] | None = None,
        user: Any = None,
        description: str = "",
        **config: Any,
    ) -> None:
        self.hook = hook
        self.url = url
        self.conditions: dict[str, Any] = dict(match or {})
        self.user = user
        self.description = description
        self.config = config

    def match(
        self, conditions: Mapping[str, Any] | None = None, **fields: Any
    ) -> "IntermediateListener":
        """Add conditions: values, matchers such as `Startswith("J")`, or nested mappings."""
        self.conditions |= {**(conditions or {}), **fields}
        return self

    def save(self) -> Listener:
        """Check, save and return the listener.

        Raises django.core.exceptions.ValidationError naming the field at fault.
        """
        listener = Listener(
            hook=self.hook.name,
            url=self.url,
            match=match.to_json(self.conditions),
            config={key: value for key, value in self.config.items() if value is not None},
            user=self.user,
            description=self.description,
        )
        listener.full_clean()
        listener.save()
        return listener


def _cleaned(form: "forms.Form") -> dict[str, Any]:
    if not form.is_valid():
        raise ValidationError(form.errors.as_data())
    return form.cleaned_data


def _looks_secret(field: "models.Field[Any, Any]") -> bool:
    name, kind = field.name.lower(), type(field).__name__.lower()
    return (
        any(word in name or word in kind for word in SECRET_WORDS)
        or any(part in SECRET_PARTS for part in name.split("_"))
        or isinstance(field, models.BinaryField)
    )


def _value(instance: models.Model, name: str) -> Any:
    try:
        field = instance._meta.get_field(name)
    except FieldDoesNotExist:
        return getattr(instance, name)
    value = field.value_from_object(instance)  # type: ignore[union-attr]
    return value.name if isinstance(value, FieldFile) else value
