"""Hook: something that can happen, raised by hand or by a subclass of it."""

import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db import router, transaction
from django.db.models import Q

from durian import match, outbox
from durian.body import ENVELOPES, PLAIN, encode_body
from durian.errors import ConfigurationError, InvalidFilter
from durian.models import Event, Listener
from durian.names import check_name, fits
from durian.options import DEFAULT_TIMEOUT, Options, from_config
from durian.policy import DEFAULT_POLICY, NO_RETRY, RetryPolicy
from durian.subscription import IntermediateListener, cleaned

if TYPE_CHECKING:
    from django import forms

logger = logging.getLogger("durian")


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
            if not _is_attribute(type(self), key):
                raise TypeError(f"{type(self).__name__} takes no argument {key!r}.")
            setattr(self, key, value)
        check_name(self.name)
        if isinstance(self.provides_args, str):
            raise ConfigurationError(
                f"Hook {self.name!r}: provides_args is the string {self.provides_args!r}; it must "
                f"be a list of names: [{self.provides_args!r}]."
            )
        if self.envelope not in ENVELOPES:
            raise ConfigurationError(
                f"Hook {self.name!r}: envelope is {self.envelope!r}; it must be one of "
                f"{', '.join(ENVELOPES)}."
            )
        self._check_options()
        self.verbose_name = self.verbose_name or self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def send(self, sender: Any = None, **payload: Any) -> Sent | None:
        """Raise an event with `payload`, in the current transaction.

        The database is the one that the routers name for Event; `send_many` takes another. Returns
        None when `prepare_payload` says that there is nothing to send, or when it failed silently.
        Raises PayloadError for a payload that is no JSON or too large.
        """
        sent = self._raise([payload], sender, using=None)
        return sent[0] if sent else None

    def send_many(
        self, payloads: Iterable[Any], *, sender: Any = None, using: str | None = None
    ) -> list[UUID]:
        """Raise an event for each of `payloads` with one INSERT, and return the events' ids.

        For what raises no signal: `bulk_create`, `update`, raw SQL. `using` is the database. If one
        payload raises PayloadError, no event is written.
        """
        return [sent.id for sent in self._raise(map(dict, payloads), sender, using)]

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
        """Return the listeners that receive `payload`, read where they are written."""
        patterns = Q(hook__contains="*") | Q(hook__contains="#")
        home = router.db_for_write(Listener)
        found = Listener.objects.using(home).active().filter(Q(hook=self.name) | patterns)
        return [
            listener
            for listener in found
            if fits(listener.hook, self.name) and self._passes(sender, payload, listener)
        ]

    def listener(self, form: "forms.Form | None" = None, **fields: Any) -> "IntermediateListener":
        """Begin a listener from a bound `config_form` or from `url=…`, `match=…` and options."""
        if form is not None:
            fields = {**cleaned(form), **fields}
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
        return dict(cleaned(form)["match"])

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

    def _check_options(self) -> None:
        said = {"timeout": self.timeout}
        if self.max_retries is not None:
            said["max_retries"] = self.max_retries
        try:
            from_config(said, Options())
        except ConfigurationError as error:
            raise ConfigurationError(f"Hook {self.name!r}: {error}") from error
        if not isinstance(self.policy, RetryPolicy):
            raise ConfigurationError(
                f"Hook {self.name!r}: policy is {self.policy!r}; it must be a RetryPolicy "
                "(durian.policy)."
            )

    def _passes(self, sender: Any, payload: Mapping[str, Any], listener: Listener) -> bool:
        try:
            return self.event_filter(sender, payload, listener.match)
        except InvalidFilter as error:
            logger.error("%s receives nothing, its filter is invalid: %s", listener, error)
            return False

    def _raise(
        self, payloads: Iterable[dict[str, Any]], sender: Any, using: str | None
    ) -> list[Sent]:
        using = using or router.db_for_write(Event)
        sent: list[Sent] = []
        with self._silently(using):
            sent = self._record(payloads, sender, using)
        return sent

    @contextmanager
    def _silently(self, using: str | None) -> Iterator[None]:
        try:
            # The savepoint keeps the caller's transaction usable when a statement fails.
            with transaction.atomic(using=using) if self.fail_silently else nullcontext():
                yield
        except Exception:
            if not self.fail_silently:
                raise
            logger.exception("An event of %r was not recorded.", self.name)

    def _record(self, payloads: Iterable[dict[str, Any]], sender: Any, using: str) -> list[Sent]:
        prepared = (self.prepare_payload(sender, payload) for payload in payloads)
        bodies = [
            encode_body(self.name, self.envelope, payload)
            for payload in prepared
            if payload is not None
        ]
        if not bodies:
            return []
        rows = outbox.record(
            self.name,
            bodies,
            envelope=self.envelope,
            archive=self.archive,
            using=using,
            published=not self.asynchronous,
        )
        sent = [Sent(row.id, []) for row in rows]
        if not self.asynchronous:
            for row, one in zip(rows, sent, strict=True):
                outbox.dispatch_on_commit(row, using, one.outcomes)
        return sent


def _is_attribute(kind: type[Hook], key: str) -> bool:
    if key.startswith("_") or not hasattr(kind, key):
        return False
    value = getattr(kind, key)
    return not inspect.isroutine(value) and not isinstance(value, property)
