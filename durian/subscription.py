"""A listener in the making: what a hook's `listener(…)` gives."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError

from durian import match
from durian.models import Listener

if TYPE_CHECKING:
    from django import forms

    from durian.hook import Hook


class IntermediateListener:
    """A listener that is not saved yet: `hook.listener(url=…).match(name="Joe").save()`."""

    def __init__(
        self,
        hook: "Hook",
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

        Raises django.core.exceptions.ValidationError naming the field at fault, InvalidFilter for
        conditions that make no filter.
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


def cleaned(form: "forms.Form") -> dict[str, Any]:
    """Return what a bound form was filled in with.

    Raises django.core.exceptions.ValidationError when it is not valid.
    """
    if not form.is_valid():
        raise ValidationError(form.errors.as_data())
    return form.cleaned_data
