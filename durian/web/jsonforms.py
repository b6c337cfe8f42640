"""Forms for JSON: the conditions that have no field of their own, and a payload to try."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from durian import match
from durian.errors import InvalidFilter
from durian.web import typed


class JsonField(forms.CharField):
    """A JSON object, as text; blank is the empty one."""

    widget = forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "class": "code"})

    def prepare_value(self, value: Any) -> Any:
        """Return an object as it would be typed."""
        if not isinstance(value, dict):
            return value
        return typed.write(value) if value else ""

    def to_python(self, value: Any) -> Any:
        """Return the object. Raises ValidationError, saying where it is none."""
        text = super().to_python(value)
        try:
            return typed.read_object(text) if text else {}
        except ValueError as error:
            raise ValidationError(str(error)) from error


class JsonFilterForm(forms.Form):
    """Conditions that the rows of the filter form have no words for."""

    json = JsonField(
        label=_("A JSON object"),
        max_length=64 * 1024,
        required=False,
        help_text=_('With operators, such as {"total": {"$gte": 100}}.'),
    )

    def clean_json(self) -> dict[str, Any]:
        """Return the filter. Raises ValidationError, saying where it is none."""
        wanted: dict[str, Any] = self.cleaned_data["json"]
        try:
            match.parse(wanted)
        except InvalidFilter as error:
            raise ValidationError(str(error)) from error
        return wanted


class PayloadForm(forms.Form):
    """A payload to try the filter on."""

    payload = JsonField(
        label=_("Payload"),
        required=False,
        help_text=_("A JSON object as the event would send it. Nothing is saved or sent."),
    )
