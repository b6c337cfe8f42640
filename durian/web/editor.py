"""The forms that make up a listener: how it is called, its filter by field and as JSON."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import connections, router, transaction
from django.forms.boundfield import BoundField
from django.utils.translation import gettext as _

from durian import match
from durian.errors import InvalidFilter
from durian.event import Hook
from durian.forms import HookConfigForm, create_match_forms
from durian.models import Listener
from durian.web import quota, typed
from durian.web.jsonforms import JsonFilterForm, PayloadForm

MAIN = ("url", "description")


class Editor:
    """The forms of a listener to the hook `name`, filled from `listener`, bound to `data`.

    `hook` is None for a pattern of names and for a hook that is registered no more.
    """

    def __init__(
        self,
        name: str,
        hook: Hook | None,
        listener: Listener | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.hook = hook
        self.listener = listener
        self.data = data
        self.config = self._config_class(data, initial=_config_of(listener))
        self.match = (
            hook.get_match_forms(data=data) if hook else create_match_forms(name, ())(data=data)
        )
        names = list(getattr(self.match, "provides_args", ()))
        rows, rest = typed.split(listener.match if listener else {}, names)
        self.match.initial = _typed_in(rows)
        self.json = JsonFilterForm(data, initial={"json": rest})
        self.payload = PayloadForm(data, initial={"payload": dict.fromkeys(names, "")})
        self.wanted: dict[str, Any] = {}
        """The filter that the forms say, once they are valid."""

    @property
    def main_fields(self) -> list[BoundField]:
        """What nobody can do without."""
        return [field for field in self.config if field.field.required or field.name in MAIN]

    @property
    def more_is_used(self) -> bool:
        """Whether something there was filled in, or has an error."""
        return any(field.errors or field.value() not in (None, "") for field in self.more_fields)

    @property
    def json_is_used(self) -> bool:
        """Whether there are conditions as JSON, or an error in them."""
        field = self.json["json"]
        return bool(field.errors or field.value())

    @property
    def more_fields(self) -> list[BoundField]:
        """What has a default."""
        return [field for field in self.config if field not in self.main_fields]

    def try_filter(self) -> bool | None:
        """Say whether the filter lets the payload pass; None when the forms have errors.

        The rest of the forms is not looked at: it may not be filled in yet.
        """
        typed_so_far = (
            {name: self.data.get(name) for name in self.config.fields} if self.data else {}
        )
        self.config = self._config_class(initial=typed_so_far)
        if not self.payload.is_valid() or not self._filter_is_valid():
            return None
        payload = self.payload.cleaned_data["payload"]
        if self.hook is None:
            return match.parse(self.wanted).matches(payload)
        try:
            return self.hook.event_filter(None, payload, self.wanted)
        except Exception as error:
            # The site's own code, which may want more of a payload than that it is JSON.
            text = _("The event's own filter fails with this payload: %(error)s")
            why = f"{type(error).__name__}: {error}"
            self.payload.add_error("payload", text % {"error": why})
            return None

    def create(self, user: Any) -> Listener | None:
        """Save and return a new listener of `user`'s; None when the forms have errors."""
        if not self._is_valid() or self.hook is None:
            return None
        home = router.db_for_write(Listener)
        with transaction.atomic(using=home):
            self._lock(user, home)
            if why := quota.refusal(user):
                self.config.add_error(None, why)
                return None
            try:
                return self.hook.listener(self.config, match=self.wanted, user=user).save()
            except ValidationError as error:
                self._show(error)
                return None

    def _lock(self, user: Any, using: str) -> None:
        """Let requests at the same time not pass a limit together."""
        users = get_user_model()._default_manager.using(using)
        # Not against whoever refers to the user, as each new listener does: these hold what a new
        # listener of this page's waits for.
        weak = connections[using].features.has_select_for_no_key_update
        users.select_for_update(no_key=weak).get(pk=user.pk)

    def update(self) -> Listener | None:
        """Save and return the listener; None when the forms have errors."""
        if not self._is_valid() or self.listener is None:
            return None
        listener, said = self.listener, dict(self.config.cleaned_data)
        listener.url = said.pop("url")
        listener.description = said.pop("description", listener.description)
        kept = {key: value for key, value in listener.config.items() if key not in said}
        listener.config = kept | {key: value for key, value in said.items() if value is not None}
        listener.match = self.wanted
        try:
            listener.full_clean()
        except ValidationError as error:
            self._show(error)
            return None
        listener.save(update_fields=["url", "description", "config", "match"])
        return listener

    @property
    def _config_class(self) -> type[forms.Form]:
        return (self.hook and self.hook.config_form) or HookConfigForm

    def _is_valid(self) -> bool:
        # Both are asked, so that all errors are shown at once.
        config_is_valid, filter_is_valid = self.config.is_valid(), self._filter_is_valid()
        return config_is_valid and filter_is_valid

    def _filter_is_valid(self) -> bool:
        if not (self.match.is_valid() & self.json.is_valid()):
            return False
        rows, rest = self.match.cleaned_data["match"], self.json.cleaned_data["json"]
        if twice := sorted(rows.keys() & rest.keys()):
            text = _("%(names)s: asked for above already; use one of the two.")
            self.json.add_error("json", text % {"names": ", ".join(twice)})
            return False
        try:
            self.wanted = match.to_json({**rows, **rest})
        except InvalidFilter as error:
            self.json.add_error("json", str(error))
            return False
        return True

    def _show(self, error: ValidationError) -> None:
        for field, messages in error.message_dict.items():
            self.config.add_error(field if field in self.config.fields else None, messages)


def _config_of(listener: Listener | None) -> dict[str, Any]:
    if listener is None:
        return {}
    retry = listener.config.get("retry")
    schedule = retry.get("schedule") if isinstance(retry, dict) else None
    named = {"url": listener.url, "description": listener.description, "schedule": schedule}
    if schedule == []:
        named |= {"retry": False, "schedule": None}  # There is no other way to type it.
    return {**listener.config, **named}


def _typed_in(rows: Mapping[str, typed.Row]) -> dict[str, Any]:
    conditions = {f"{name}_cond": const for name, (const, _query) in rows.items()}
    return conditions | {f"{name}_query": query for name, (_const, query) in rows.items()}
