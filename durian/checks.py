"""System checks: every mistake in the settings is named before it can lose an event."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.db import connections, router
from django.db.models import signals as model_signals

from durian import conf
from durian.errors import ConfigurationError
from durian.event import Hook, ModelHook
from durian.models import Event
from durian.registry import hooks
from durian.wire import connect

Check = Callable[..., Sequence[CheckMessage]]

COMMITTED_SIGNALS = (model_signals.post_save, model_signals.post_delete)
"""Sent, in autocommit mode, when the row has been committed already."""


def check_settings(**_: Any) -> list[CheckMessage]:
    """E001: a setting of durian is wrong."""
    try:
        config = conf.config()
        if not config.broker_url.startswith(connect.MEMORY):
            connect.broker(config.broker_url, config.name_prefix)
        conf.guard()
        conf.vault()
        if config.ca_bundle and not Path(config.ca_bundle).is_file():
            raise ConfigurationError(
                f"DURIAN['CA_BUNDLE'] is {config.ca_bundle!r}, and there is no such file."
            )
    except ConfigurationError as error:
        return [checks.Error(str(error), hint="See docs/settings.md.", id="durian.E001")]
    return []


def check_packages(**_: Any) -> list[CheckMessage]:
    """E002: another package of the site hides durian's `publisher` or `deliverer`."""
    home = Path(__file__).resolve().parent.parent
    found: list[CheckMessage] = []
    for name in ("publisher", "deliverer"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != home:
            found.append(
                checks.Error(
                    f"The package {name!r} that Python finds ({origin}) is not durian's.",
                    hint=f"Rename your own package, or put it inside another: durian needs {name}.",
                    id="durian.E002",
                )
            )
    return found


def check_sqlite(**_: Any) -> list[CheckMessage]:
    """E003: an outbox in SQLite whose transactions do not take the write lock at their start."""
    if _config() is None or django.VERSION < (5, 1):
        return []
    return [
        checks.Error(
            f"The database {alias!r} is SQLite without transaction_mode IMMEDIATE: two writers "
            "would fail with 'database is locked'.",
            hint=f"Set DATABASES[{alias!r}]['OPTIONS'] = {{'transaction_mode': 'IMMEDIATE'}}.",
            id="durian.E003",
        )
        for alias in _outboxes()
        if alias in settings.DATABASES
        and connections[alias].vendor == "sqlite"
        and settings.DATABASES[alias].get("OPTIONS", {}).get("transaction_mode") != "IMMEDIATE"
    ]


def check_outboxes(**_: Any) -> list[CheckMessage]:
    """E004: events would go to a database whose outbox no relay reads."""
    outboxes = _outboxes()
    unknown = [
        checks.Error(
            f"DURIAN['OUTBOX_DATABASES'] names {alias!r}, which is not in DATABASES.",
            id="durian.E004",
        )
        for alias in outboxes
        if alias not in settings.DATABASES
    ]
    lost = [
        checks.Error(
            f"The hook {hook.name!r} raises its events in the database {using!r}, whose outbox no "
            "relay reads.",
            hint=f"Add {using!r} to DURIAN['OUTBOX_DATABASES'].",
            id="durian.E004",
        )
        for hook in hooks.all()
        if (using := _database(hook)) not in outboxes
    ]
    return [*unknown, *lost] if _config() else []


def check_transactions(**_: Any) -> list[CheckMessage]:
    """W001: in autocommit mode a row and its event are two commits."""
    hooked = {
        _database(hook)
        for hook in hooks.all()
        if isinstance(hook, ModelHook) and hook.signal in COMMITTED_SIGNALS
    }
    return [
        checks.Warning(
            f"Hooks are raised by saves in the database {alias!r}, which is in autocommit mode: "
            "a crash between a row's commit and its event's loses the event.",
            hint=f"Set DATABASES[{alias!r}]['ATOMIC_REQUESTS'] = True, or save within "
            "transaction.atomic() and silence this check.",
            id="durian.W001",
        )
        for alias in sorted(hooked)
        if not settings.DATABASES.get(alias, {}).get("ATOMIC_REQUESTS")
    ]


def check_production(**_: Any) -> list[CheckMessage]:
    """W002 and W003: what is for development is used without DEBUG."""
    config = _config()
    if config is None or settings.DEBUG:
        return []
    found: list[CheckMessage] = []
    if config.broker_url.startswith(connect.MEMORY):
        found.append(
            checks.Warning(
                "DURIAN['BROKER_URL'] is memory://: what waits in memory is lost with its process.",
                hint="Set it to a RabbitMQ: amqp://user:password@host/vhost.",
                id="durian.W002",
            )
        )
    found.extend(
        checks.Warning(
            f"The hook {hook.name!r} dispatches in-process: requests wait for receivers, and "
            "what fails is not tried again.",
            hint="Leave asynchronous = False to development.",
            id="durian.W003",
        )
        for hook in hooks.all()
        if not hook.asynchronous
    )
    return found


def check_names(**_: Any) -> list[CheckMessage]:
    """W004: a hook sends what its model does not have."""
    return [
        checks.Warning(
            f"The hook {hook.name!r} sends {name!r}, which {hook.model.__name__} has neither as a "
            "field nor as an attribute: its signal would raise AttributeError.",
            hint="Correct provides_args, or have prepare_payload make the payload.",
            id="durian.W004",
        )
        for hook in hooks.all()
        # What prepare_payload makes of the instance itself need not be there.
        if isinstance(hook, ModelHook)
        and hook.model
        and type(hook).prepare_payload is ModelHook.prepare_payload
        for name in hook.provides_args
        if not hasattr(hook.model, name)
    ]


ALL: Sequence[Check] = (
    check_settings,
    check_packages,
    check_sqlite,
    check_outboxes,
    check_transactions,
    check_production,
    check_names,
)


def register_all() -> None:
    """Let Django run durian's checks."""
    for check in ALL:
        checks.register(check, "durian")


def _config() -> conf.Config | None:
    try:
        return conf.config()
    except ConfigurationError:
        return None  # check_settings says what is wrong.


def _database(hook: Hook) -> str:
    model = hook.model if isinstance(hook, ModelHook) else None
    return router.db_for_write(model or Event)


def _outboxes() -> Sequence[str]:
    config = _config()
    return config.outbox_databases if config else ()
