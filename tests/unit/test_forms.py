"""The forms of durian.forms: what people type, and what becomes of it."""

from typing import Any

import pytest
from django.forms import Form
from hypothesis import given
from hypothesis import strategies as st

from durian import match
from durian.event import Hook
from durian.forms import (
    BaseMatchForm,
    HookConfigForm,
    create_match_forms,
    create_select_hook_form,
)
from durian.options import KEYS, Options, from_config
from durian.registry import HookRegistry
from durian.web import typed
from durian.web.jsonforms import JsonFilterForm

URL = "https://example.com/hook"


def match_form(**data: Any) -> BaseMatchForm:
    return create_match_forms("person", ["name", "age"])(data)


def filter_of(**data: Any) -> dict[str, Any]:
    form = match_form(**data)
    assert form.is_valid(), form.errors
    wanted: dict[str, Any] = form.cleaned_data["match"]
    return wanted


def test_a_match_form_has_two_fields_for_each_of_provides_args() -> None:
    form = create_match_forms("person", ["name", "age"])()
    assert list(form.fields) == ["name_cond", "name_query", "age_cond", "age_query"]


def test_a_match_form_offers_every_matcher() -> None:
    offered = match_form().fields["name_cond"].choices  # type: ignore[attr-defined]
    assert [const for const, _label in offered] == list(match.CONST_TO_MATCHABLE)


def test_field_to_mtuple_is_the_field_its_condition_and_its_query() -> None:
    conf = {"name_cond": "2", "name_query": "J"}
    assert BaseMatchForm.field_to_mtuple("name", conf) == ("name", match.CONDITION_STARTSWITH, "J")
    assert BaseMatchForm.field_to_mtuple("age", conf) == ("age", match.CONDITION_PASS, "")


@pytest.mark.parametrize(
    ("const", "wanted"),
    [
        (match.CONDITION_EXACT, {"name": {"$eq": "J"}}),
        (match.CONDITION_STARTSWITH, {"name": {"$startsWith": "J"}}),
        (match.CONDITION_ENDSWITH, {"name": {"$endsWith": "J"}}),
        (match.CONDITION_CONTAINS, {"name": {"$contains": "J"}}),
        (match.CONDITION_LIKE, {"name": {"$regex": "J"}}),
    ],
)
def test_the_filter_is_json(const: int, wanted: dict[str, Any]) -> None:
    assert filter_of(name_cond=str(const), name_query="J") == wanted


def test_what_may_be_anything_is_left_out() -> None:
    assert filter_of() == {}
    assert filter_of(name_cond="0", age_cond="0") == {}


@pytest.mark.parametrize(
    ("query", "matched", "refused"),
    [
        ("5", [5, 5.0, "5"], ["5.0", 6, True]),
        ("9.90", [9.9, "9.90"], ["9.9"]),
        ("true", [True, "true"], [1, False]),
        ("null", [None, "null"], [0, ""]),
        ('"5"', ["5"], [5, '"5"']),
        ("01234", ["01234"], [1234, 668]),
        ("Joe", ["Joe"], ["joe", None]),
        (" Joe", [" Joe"], ["Joe"]),
        ("1e999", ["1e999"], [0]),
        ("NaN", ["NaN"], [0]),
        ('{"a": 1}', ['{"a": 1}'], [{"a": 1}]),
        ("", [""], [None, " "]),
    ],
)
def test_exact_takes_a_number_as_the_number_and_as_text(
    query: str, matched: list[Any], refused: list[Any]
) -> None:
    wanted = match.parse(filter_of(age_cond="1", age_query=query))
    assert [value for value in matched if not wanted.matches({"age": value})] == []
    assert [value for value in refused if wanted.matches({"age": value})] == []


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"name_cond": "5", "name_query": "("}, "name_query"),
        ({"name_cond": "2", "name_query": ""}, "name_query"),
        ({"name_cond": "0", "name_query": "J"}, "name_cond"),
        ({"name_cond": "99", "name_query": "J"}, "name_cond"),
        ({"name_cond": "1", "name_query": "a\x00b"}, "name_query"),
        ({"name_cond": "1", "name_query": "x" * 1001}, "name_query"),
    ],
)
def test_an_error_is_at_its_field(data: dict[str, str], field: str) -> None:
    form = match_form(**data)
    assert not form.is_valid()
    assert list(form.errors) == [field]


def test_a_nul_in_quotes_is_never_stored() -> None:
    assert "\x00" not in filter_of(name_cond="1", name_query='"\\u0000"')["name"]["$eq"]


ROWS = st.dictionaries(
    st.sampled_from(["name", "age", "city"]),
    st.tuples(
        st.sampled_from([1, 2, 3, 4]),
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n")),
            st.sampled_from(["5", "-1.50", "true", "null", '"5"', '"true"', "[1]", "1e999", '"']),
        ),
    ),
)
REST = st.dictionaries(
    st.sampled_from(["total", "name", "$not"]),
    st.one_of(
        st.just({"$eq": 5}),
        st.just({"$or": [{"$eq": 5}, {"$eq": "6"}]}),
        st.just({"$gt": 1}),
        st.just({"$startsWith": "J", "$endsWith": "e"}),
    ),
)


@given(ROWS, REST)
def test_a_filter_splits_into_what_can_be_typed_and_the_rest(
    rows: dict[str, typed.Row], rest: dict[str, Any]
) -> None:
    wanted = {**rest, **typed.join(rows)}
    typed_in, left = typed.split(wanted, ["name", "age", "city"])
    assert {**typed.join(typed_in), **left} == wanted
    assert set(rows) <= set(typed_in)


def test_a_config_form_with_a_url_alone_leaves_the_rest_to_the_hook() -> None:
    form = HookConfigForm({"url": URL})
    assert form.is_valid(), form.errors
    said = {key: value for key, value in form.cleaned_data.items() if value not in (None, "")}
    assert said == {"url": URL}


def test_a_config_form_says_what_a_listener_takes() -> None:
    form = HookConfigForm(
        {
            "url": URL,
            "description": "CRM",
            "timeout": "2.5",
            "max_retries": "3",
            "schedule": "5, 60.5",
            "rate": "10",
            "headers": "X-Tenant: a:b\n\nX-Other: c",
        }
    )
    assert form.is_valid(), form.errors
    assert form.cleaned_data == {
        "url": URL,
        "description": "CRM",
        "timeout": 2.5,
        "max_retries": 3,
        "retry": {"schedule": [5.0, 60.5]},
        "rate": 10.0,
        "headers": {"X-Tenant": "a:b", "X-Other": "c"},
    }


def test_a_schedule_is_shown_to_its_last_digit() -> None:
    schedule = [5, 100000.25, 0.1234567]
    shown = HookConfigForm(initial={"schedule": schedule})["schedule"].value()
    assert shown == "5, 100000.25, 0.1234567"


def test_a_schedule_keeps_the_jitter_that_was_made_in_code() -> None:
    initial = {"retry": {"schedule": [5], "jitter": 0.5}}
    form = HookConfigForm({"url": URL, "schedule": "7"}, initial=initial)
    assert form.is_valid()
    assert form.cleaned_data["retry"] == {"schedule": [7.0], "jitter": 0.5}


@pytest.mark.parametrize(
    ("data", "field", "text"),
    [
        ({"url": "http://10.0.0.1/"}, "url", "private"),
        ({"url": "http://169.254.169.254/latest"}, "url", "metadata"),
        ({"url": "javascript:alert(1)"}, "url", "https://"),
        ({"url": ""}, "url", "required"),
        ({"url": URL, "timeout": "31"}, "timeout", "30"),
        ({"url": URL, "max_retries": "-1"}, "max_retries", "0"),
        ({"url": URL, "schedule": "soon"}, "schedule", "seconds"),
        ({"url": URL, "schedule": "-5"}, "schedule", "0"),
        ({"url": URL, "schedule": "nan"}, "schedule", "nan"),
        ({"url": URL, "schedule": "5", "retry": "False"}, "schedule", "not tried again"),
        ({"url": URL, "headers": "X-Team: red\nX-Team: blue"}, "headers", "once"),
        ({"url": URL, "headers": "no colon"}, "headers", "Name: value"),
        ({"url": URL, "headers": "webhook-id: 1"}, "headers", "cannot be set"),
        ({"url": URL, "headers": "X-A: \x07"}, "headers", "ASCII"),
    ],
)
def test_a_config_form_names_the_field_at_fault(
    data: dict[str, str], field: str, text: str
) -> None:
    form = HookConfigForm(data)
    assert not form.is_valid()
    assert list(form.errors) == [field]
    assert text in str(form.errors[field])


def test_the_select_form_has_the_registered_hooks() -> None:
    registry = HookRegistry()
    registry.register(Hook("person", verbose_name="A person"))
    form_class = create_select_hook_form(registry)
    assert form_class({"type": "person"}).is_valid()
    assert not form_class({"type": "nobody"}).is_valid()


def test_a_hook_makes_its_filter_by_its_form() -> None:
    hook = Hook("person", provides_args=["name"])
    assert hook.apply_match_forms({"name_cond": "2", "name_query": "J"}) == {
        "name": {"$startsWith": "J"}
    }


def test_a_hook_may_have_a_filter_form_of_its_own() -> None:
    class Own(Form):
        pass

    assert isinstance(Hook("person", match_forms=Own).get_match_forms(), Own)


# Whatever is typed

ANY_TEXT = st.text() | st.sampled_from(
    ["1e400", "NaN", "-1", "9" * 5000, "[" * 5000, '{"a":' * 5000, "\0", "a: b\r\nHost: c", "True"]
)
CONFIG_FIELDS = [*HookConfigForm.base_fields]
ROW_FIELDS = ["name_cond", "name_query", "age_cond", "age_query"]


@given(st.dictionaries(st.sampled_from(CONFIG_FIELDS), ANY_TEXT))
def test_a_configuration_form_takes_what_can_be_called_and_refuses_the_rest(
    data: dict[str, str],
) -> None:
    form = HookConfigForm({"url": URL, **data})
    if not form.is_valid():
        assert all(text for texts in form.errors.values() for text in texts)
        return
    known = {name: form.cleaned_data.get(name) for name in KEYS}
    from_config({name: value for name, value in known.items() if value is not None}, Options())


@given(st.dictionaries(st.sampled_from(ROW_FIELDS), ANY_TEXT | st.sampled_from("012345")))
def test_a_match_form_gives_a_filter_or_an_error(data: dict[str, str]) -> None:
    form = match_form(**data)
    if form.is_valid():
        assert match.to_json(match.parse(form.cleaned_data["match"])) == form.cleaned_data["match"]
    else:
        assert form.errors


@given(ANY_TEXT)
def test_a_json_form_gives_a_filter_or_an_error(text: str) -> None:
    form = JsonFilterForm({"json": text})
    if form.is_valid():
        match.parse(form.cleaned_data["json"])
    else:
        assert form.errors["json"]
