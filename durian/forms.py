"""Forms for subscribers: which event, how to be called, and a filter by the hook's fields."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from durian import match
from durian.errors import ConfigurationError, InvalidFilter
from durian.models import validate_url
from durian.options import MAX_RATE, MAX_RETRIES, MAX_TIMEOUT, Options, from_config
from durian.registry import HookRegistry, hooks
from durian.web import typed
from durian.web.typed import MAX_QUERY

RETRY_CHOICES = (
    ("", _("as the event says")),
    ("True", _("yes")),
    ("False", _("no, one attempt only")),
)


def _typed(delay: float) -> str:
    return repr(float(delay)).removesuffix(".0")


class ScheduleField(forms.CharField):
    """Delays in seconds, typed as `5, 300, 1800`; cleaned to a list of numbers, or None."""

    def prepare_value(self, value: Any) -> Any:
        """Return the list as it would be typed."""
        return ", ".join(map(_typed, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return the numbers. Raises ValidationError for what is none."""
        text = super().to_python(value)
        try:
            return [float(delay) for delay in text.split(",")] if text else None
        except ValueError:
            raise ValidationError(
                _t("Give numbers of seconds with commas: 5, 300, 1800.")
            ) from None


class HeadersField(forms.CharField):
    """Headers, typed as `Name: value`, one on each line; cleaned to a dict, or None."""

    widget = forms.Textarea(attrs={"rows": 2})

    def prepare_value(self, value: Any) -> Any:
        """Return the dict as it would be typed."""
        if not isinstance(value, dict):
            return value
        return "\n".join(f"{name}: {text}" for name, text in value.items())

    def to_python(self, value: Any) -> Any:
        """Return the headers. Raises ValidationError for a line without a colon."""
        lines = [line for line in (super().to_python(value) or "").splitlines() if line.strip()]
        for line in lines:
            if ":" not in line:
                raise ValidationError(_t("Give each header as Name: value, on a line of its own."))
        pairs = [line.partition(":") for line in lines]
        headers = {name.strip(): text.strip() for name, _colon, text in pairs}
        if len(headers) < len(pairs):
            raise ValidationError(_t("Give each header once."))
        return headers or None


class HookConfigForm(forms.Form):
    """Where and how a listener is called.

    `cleaned_data` is what `Hook.listener` takes; what was left blank is None and up to the hook.
    """

    url = forms.CharField(
        label=_("URL"),
        max_length=2000,
        validators=[validate_url],
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/webhooks"}),
        help_text=_("Each event is sent there as a signed POST."),
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=200,
        required=False,
        help_text=_("For yourself: what this listener is for."),
    )
    timeout = forms.FloatField(
        label=_("Time-out in seconds"),
        min_value=0.1,
        max_value=MAX_TIMEOUT,
        required=False,
        help_text=_("For the whole exchange. Blank: as the event says."),
    )
    retry = forms.NullBooleanField(
        label=_("Try again when it fails"),
        required=False,
        widget=forms.Select(choices=RETRY_CHOICES),
    )
    max_retries = forms.IntegerField(
        label=_("Retries at most"),
        min_value=0,
        max_value=MAX_RETRIES,
        required=False,
        help_text=_("Blank: as the event says."),
    )
    schedule = ScheduleField(
        label=_("Delays between attempts"),
        max_length=500,
        required=False,
        help_text=_("In seconds, such as 5, 300, 1800. Blank: as the event says."),
    )
    rate = forms.FloatField(
        label=_("POSTs a second at most"),
        min_value=0,
        max_value=MAX_RATE,
        required=False,
        help_text=_("Blank or 0: as many as come."),
    )
    headers = HeadersField(
        label=_("Headers of your own"),
        max_length=22_000,
        required=False,
        help_text=_("Sent with each POST: Name: value, one on each line."),
    )

    def clean(self) -> dict[str, Any]:
        """Return the data, the schedule as `retry` has it: `{"schedule": […]}`."""
        cleaned = super().clean() or self.cleaned_data
        schedule = cleaned.pop("schedule", None)
        if schedule is not None:
            self._schedule(cleaned, schedule)
        self._check("headers", "headers", cleaned)
        return cleaned

    def _schedule(self, cleaned: dict[str, Any], schedule: list[float]) -> None:
        if cleaned.get("retry") is False:
            self.add_error("schedule", _t("There are no delays when it is not tried again."))
        kept = self.initial.get("retry")
        # A schedule made in code may have a jitter too, for which there is no field.
        cleaned["retry"] = {**(kept if isinstance(kept, dict) else {}), "schedule": schedule}
        self._check("schedule", "retry", cleaned)

    def _check(self, field: str, key: str, cleaned: Mapping[str, Any]) -> None:
        value = cleaned.get(key)
        try:
            from_config({key: value} if value is not None else {}, Options())
        except ConfigurationError as error:
            self.add_error(field, str(error))


class BaseMatchForm(forms.Form):
    """The filter, one row of `<field>_cond` and `<field>_query` for each of `provides_args`.

    `cleaned_data["match"]` is the filter as JSON.
    """

    hook_name: str = ""
    provides_args: Sequence[str] = ()

    @staticmethod
    def field_to_mtuple(name: str, conf: Mapping[str, Any]) -> tuple[str, int, str]:
        """Return `(field, const, query)` of what `conf`, a form's data, says of a field."""
        const = conf.get(f"{name}_cond") or match.CONDITION_PASS
        return name, int(const), conf.get(f"{name}_query") or ""

    def rows(self) -> list[tuple[str, BoundField, BoundField]]:
        """Return each field's name with what chooses the condition and what asks for the text."""
        return [(name, self[f"{name}_cond"], self[f"{name}_query"]) for name in self.provides_args]

    def clean(self) -> dict[str, Any]:
        """Return the data with the filter; what is wrong with a row is an error of its query."""
        cleaned = super().clean() or self.cleaned_data
        rows = {}
        for name in self.provides_args:
            _name, const, query = self.field_to_mtuple(name, cleaned)
            if self._row_is_valid(name, const, query):
                rows[name] = (const, query)
        try:
            cleaned["match"] = typed.join(rows)
        except InvalidFilter as error:
            raise ValidationError(str(error)) from error
        return cleaned

    def _row_is_valid(self, name: str, const: int, query: str) -> bool:
        if const == match.CONDITION_PASS and query:
            self.add_error(f"{name}_cond", _t("Say how to compare, or clear the text."))
        elif const not in (match.CONDITION_PASS, match.CONDITION_EXACT) and not query:
            self.add_error(f"{name}_query", _t("Say what to look for."))
        else:
            try:
                typed.condition(const, query)
            except InvalidFilter as error:
                self.add_error(f"{name}_query", str(error))
        return f"{name}_query" not in self.errors


def create_match_forms(name: str, provides_args: Iterable[str]) -> type[BaseMatchForm]:
    """Return the class of the filter form of the hook `name`, whose payload has `provides_args`."""
    names = list(dict.fromkeys(provides_args))
    fields: dict[str, Any] = {"hook_name": name, "provides_args": names}
    for field in names:
        fields[f"{field}_cond"] = forms.TypedChoiceField(
            label=_("%(field)s: condition") % {"field": field},
            choices=match.MATCHABLE_CHOICES,
            coerce=int,
            empty_value=None,
            required=False,
        )
        fields[f"{field}_query"] = forms.CharField(
            label=_("%(field)s: text") % {"field": field},
            max_length=MAX_QUERY,
            required=False,
            strip=False,
        )
    return type("MatchForm", (BaseMatchForm,), fields)


def create_select_hook_form(registry: HookRegistry = hooks) -> type[forms.Form]:
    """Return the class of a form whose field `type` is the name of one of the registered hooks."""
    choices = [(hook.name, hook.verbose_name) for hook in registry.all()]
    return type(
        "SelectHookForm",
        (forms.Form,),
        {"type": forms.ChoiceField(label=_("Event"), choices=choices)},
    )
