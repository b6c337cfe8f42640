"""What durian keeps in the site's database: listeners, events (outbox and archive), attempts."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections, models, router, transaction
from django.db.models.signals import pre_delete, pre_save
from django.dispatch import receiver
from django.utils import timezone

from durian import ids, match, names, options
from durian.body import PLAIN, decode_payload
from durian.conf import config, guard, vault
from durian.errors import DurianError
from durian.signing import Secret, generate_secret

MAX_SECRETS = 10
"""Secrets that sign at once: each is one more signature in every POST."""
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL in JSON's spelling; a backslash before it makes it five other characters."""


def validate_hook(value: str) -> None:
    """Raise ValidationError unless `value` is a hook's name or a pattern of names."""
    _as_validation_error(names.check_pattern, value)


def validate_match(value: Any) -> None:
    """Raise ValidationError unless `value` is a filter."""
    _as_validation_error(match.parse, value)
    _check_storable(value)


def validate_url(value: str) -> None:
    """Raise ValidationError for a URL that the guard would refuse."""
    _as_validation_error(guard().check_url, value)


def validate_config(value: Any) -> None:
    """Raise ValidationError unless `value` is a listener's configuration."""
    if not isinstance(value, dict):
        raise ValidationError("The configuration must be a JSON object.")
    _as_validation_error(partial(options.from_config, default=options.Options()), value)
    _check_storable(value)


def _check_storable(value: Any) -> None:
    # PostgreSQL's jsonb takes neither of them.
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("It holds half a surrogate pair, which is no text.") from error
    if NUL.search(text):
        raise ValidationError("It holds a NUL, which the database cannot keep.")


def _as_validation_error(check: Callable[[Any], object], value: Any) -> None:
    try:
        check(value)
    except DurianError as error:
        raise ValidationError(str(error)) from error


class ListenerClock(models.Model):
    """One row: the version of the set of listeners, raised by the transaction of every change.

    The row stays locked until that transaction ends, so versions are committed in their order:
    who has seen version n has seen every change up to n.
    """

    version = models.BigIntegerField()

    def __str__(self) -> str:
        return f"version {self.version}"

    @classmethod
    def tick(cls, using: str) -> int:
        """Raise the version within the current transaction and return it."""
        clock = cls.objects.using(using)
        while not clock.filter(pk=1).update(version=models.F("version") + 1):
            # Microseconds, so that a clock made anew is ahead of what any process has seen.
            clock.get_or_create(pk=1, defaults={"version": time.time_ns() // 1000})
        return clock.get(pk=1).version

    @classmethod
    @contextmanager
    def ticked(cls, using: str) -> Iterator[int]:
        """Raise the version, and let nobody else change a listener until the block is committed."""
        with transaction.atomic(using=using):
            yield cls.tick(using)

    @classmethod
    def now(cls) -> int:
        """Return the version; 0 before the first change of a listener."""
        # Not from a replica, which may not have the change yet that an event relies on. The plain
        # statement, since every batch of events asks: for Django to write it takes thrice as long.
        with connections[router.db_for_write(cls)].cursor() as cursor:
            cursor.execute(f"SELECT version FROM {cls._meta.db_table} WHERE id = 1")  # noqa: S608
            found = cursor.fetchone()
        return int(found[0]) if found else 0


class ListenerQuerySet(models.QuerySet["Listener"]):
    """Listeners; every change through it raises the version, so that it reaches all processes."""

    def update(self, **kwargs: Any) -> int:
        """Change all of these listeners in one statement."""
        self._for_write = True
        with ListenerClock.ticked(self.db) as version:
            return super().update(**{"version": version} | kwargs)

    def bulk_create(self, objs: Iterable["Listener"], *args: Any, **kwargs: Any) -> Any:
        """Insert many listeners; each gets a secret of its own unless it has one."""
        listeners = list(objs)
        if kwargs.get("update_conflicts"):
            kwargs["update_fields"] = {*kwargs["update_fields"], "version"}
        self._for_write = True
        with ListenerClock.ticked(self.db) as version:
            for listener in listeners:
                listener.version = version
                listener.ensure_secret()
            return super().bulk_create(listeners, *args, **kwargs)

    def active(self) -> "ListenerQuerySet":
        """Return those that receive events."""
        return self.filter(state=Listener.State.ACTIVE)


class Listener(models.Model):
    """Who receives what: a URL, the hook (or a pattern of hooks), and a filter."""

    class State(models.TextChoices):
        """Whether a listener receives events."""

        ACTIVE = "active", "active"
        PAUSED = "paused", "paused"
        DISABLED = "disabled", "disabled"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="durian_listeners",
    )
    hook = models.CharField(max_length=names.MAX_BYTES, db_index=True, validators=[validate_hook])
    url = models.CharField("URL", max_length=2000, validators=[validate_url])
    description = models.CharField(max_length=200, blank=True)
    match = models.JSONField("filter", default=dict, blank=True, validators=[validate_match])
    config = models.JSONField(
        "configuration", default=dict, blank=True, validators=[validate_config]
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    state_reason = models.CharField(max_length=200, blank=True)
    state_since = models.DateTimeField(default=timezone.now)
    secrets = models.TextField(blank=True, editable=False)
    version = models.BigIntegerField(default=0, db_index=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ListenerQuerySet.as_manager()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A proxy that a site makes: its deletions are signalled by its own class.
        pre_delete.connect(_remember_deletion, sender=cls)

    def __str__(self) -> str:
        return f"{self.hook} → {self.url}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, raise the version of the set of listeners, and make a secret if there is none."""
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "version", "updated_at"}
        self.ensure_secret()
        # None and [] pass the validators, since Django asks them for nothing that is empty.
        self.match, self.config = self.match or {}, self.config or {}
        with ListenerClock.ticked(using) as self.version:
            super().save(*args, **kwargs)

    def set_state(self, state: "Listener.State", reason: str = "") -> bool:
        """Pause, disable or resume, save, and return True.

        Nothing is done, and False returned, if somebody else has changed the state, or deleted the
        listener, since this instance was read.
        """
        using = router.db_for_write(type(self), instance=self)
        with ListenerClock.ticked(using):
            known, same = (self.state, self.state_reason), Listener.objects.using(using)
            if known not in same.filter(pk=self.pk).values_list("state", "state_reason"):
                return False
            if self.State.ACTIVE in (self.state, state):  # else it goes on to miss events
                self.state_since = timezone.now()
            self.state, self.state_reason = state, reason
            self.save(using=using, update_fields=["state", "state_reason", "state_since"])
        return True

    def ensure_secret(self) -> None:
        """Give a new listener its first secret."""
        if not self.secrets:
            self._keep([{"secret": generate_secret(), "until": None}])

    def signing_secrets(self, now: datetime | None = None) -> list[str]:
        """Return the secrets to sign with, the newest first; more than one during a rotation."""
        secrets, _ = self.signing(now)
        return secrets

    def signing(self, now: datetime | None = None) -> tuple[list[str], datetime | None]:
        """Return `signing_secrets` and when the first of them ends, None when none does."""
        kept = self._kept(now or timezone.now())
        ends = [one["until"] for one in kept if one["until"]]
        end = min(map(datetime.fromisoformat, ends), default=None)
        return [one["secret"] for one in kept], end

    def rotate_secret(self, overlap: timedelta | None = None) -> str:
        """Make a new secret, save, and return it.

        The old ones are used beside it for `overlap` (default: SECRET_OVERLAP_HOURS; none for one
        that leaked), so that a receiver has the time to take the new one over. Raises
        ValidationError when MAX_SECRETS are in use and `overlap` would keep them.
        """
        if overlap is None:
            overlap = timedelta(hours=config().secret_overlap_hours)
        using, secret = router.db_for_write(type(self), instance=self), generate_secret()
        with ListenerClock.ticked(using):
            # Two rotations at once: the second one keeps the first one's.
            self.refresh_from_db(using=using, fields=["secrets"])
            old = self._ending(overlap) if overlap else []
            if len(old) >= MAX_SECRETS:
                raise ValidationError(_too_many(old))
            self._keep([{"secret": secret, "until": None}, *old])
            self.save(using=using, update_fields=["secrets"])
        return secret

    def _ending(self, overlap: timedelta) -> list[dict[str, Any]]:
        now = timezone.now()
        end = (now + overlap).isoformat()
        # Both are in UTC and of one form: the earlier one is the smaller text.
        return [one | {"until": min(one["until"] or end, end)} for one in self._kept(now)]

    def _kept(self, now: datetime) -> list[dict[str, Any]]:
        kept = json.loads(vault().decrypt(self.secrets)) if self.secrets else []
        return [
            one | {"secret": Secret(one["secret"])}
            for one in kept
            if one["until"] is None or datetime.fromisoformat(one["until"]) > now
        ]

    def _keep(self, secrets: list[dict[str, Any]]) -> None:
        self.secrets = vault().encrypt(json.dumps(secrets))


def _too_many(secrets: list[dict[str, Any]]) -> str:
    end = min(one["until"] for one in secrets)
    return (
        f"{len(secrets)} secrets of this listener are in use, as many as there may be. One "
        f"ends at {end[:16].replace('T', ' ')} UTC: rotate after that, or without an overlap."
    )


class DeletedListener(models.Model):
    """A listener that is no more: tells processes that keep listeners in memory to drop it.

    Whose it was and when it was made count for how many its user may make in an hour.
    """

    listener_id = models.BigIntegerField(primary_key=True)
    version = models.BigIntegerField(db_index=True)
    owner = models.CharField(max_length=255, null=True)
    created_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["owner", "created_at"], name="durian_deleted_owner")
        ]

    def __str__(self) -> str:
        return f"listener {self.listener_id}, deleted"


class Event(models.Model):
    """Something that happened: in the outbox until it is published, in the archive after that.

    Ids are in the order of time, so that no index of times is needed.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_event_id, editable=False)
    hook = models.CharField(max_length=names.MAX_BYTES)
    body = models.TextField()
    envelope = models.CharField(max_length=8, default=PLAIN)
    archive = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="")

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["id"],
                name="durian_event_outbox",
                condition=models.Q(published_at__isnull=True),
            ),
            models.Index(fields=["hook", "id"], name="durian_event_hook"),
        ]

    def __str__(self) -> str:
        return f"{self.hook} {self.id}"

    @property
    def payload(self) -> Any:
        """What the hook was sent with, as JSON has it."""
        return decode_payload(self.body, self.envelope)


class Attempt(models.Model):
    """One POST (or the decision not to make it): the log. No foreign keys, so that it never fails
    for what was deleted meanwhile."""

    class Outcome(models.TextChoices):
        """How an attempt ended."""

        DELIVERED = "delivered", "delivered"
        RETRY = "retry", "failed, to be tried again"
        DEAD = "dead", "failed, given up"
        CANCELLED = "cancelled", "cancelled"

    delivery = models.UUIDField()
    run = models.CharField(max_length=36, blank=True, default="")
    number = models.PositiveIntegerField()
    event = models.UUIDField(db_index=True)
    listener_id = models.BigIntegerField()
    hook = models.CharField(max_length=names.MAX_BYTES)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    status = models.PositiveSmallIntegerField(null=True)
    duration_ms = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, default="")
    answer = models.BinaryField(default=bytes)
    started_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["listener_id", "-started_at"], name="durian_attempt_listener"),
            models.Index(fields=["delivery", "run", "number"], name="durian_attempt_delivery"),
            models.Index(fields=["started_at"], name="durian_attempt_age"),
        ]

    def __str__(self) -> str:
        return f"{self.hook} to listener {self.listener_id}, attempt {self.number}: {self.outcome}"


@receiver(pre_save, sender=Listener)
def _stamp_fixture(instance: Listener, raw: bool, using: str, **_: object) -> None:
    # loaddata, which is one transaction, does without Listener.save.
    if raw:
        instance.ensure_secret()
        instance.version = ListenerClock.tick(using)


@receiver(pre_save, sender=ListenerClock)
def _advance_fixture(instance: ListenerClock, raw: bool, using: str, **_: object) -> None:
    # The number of when the fixture was made would be behind what processes have seen since.
    if raw:
        instance.version = max(instance.version, ListenerClock.tick(using))


@receiver(pre_delete, sender=Listener)
def _remember_deletion(instance: Listener, using: str, **_: object) -> None:
    # Before the row's own lock: whoever saves a listener locks the clock first, too.
    with ListenerClock.ticked(using) as version:
        DeletedListener.objects.using(using).update_or_create(
            listener_id=instance.pk,
            defaults={
                "version": version,
                "owner": instance.user_id and str(instance.user_id),
                "created_at": instance.created_at,
            },
        )
