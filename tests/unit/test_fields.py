import pytest
from django.contrib.auth.models import User
from django.db.models.signals import m2m_changed, post_save

from durian.errors import ConfigurationError
from durian.event import ModelHook
from durian.fields import value_of
from tests.unit.people import Person

OPEN = ["name", "address", "photo", "boss", "visits", "keyword"]


def test_by_default_no_secret_and_no_primary_key_is_sent() -> None:
    hook = ModelHook(Person, post_save, name="person")
    assert hook.provides_args == hook.get_model_default_fields() == OPEN


def test_by_default_the_password_of_a_user_is_not_sent() -> None:
    fields = ModelHook(User, post_save, name="user").provides_args
    assert "username" in fields
    assert not {"password", "id"} & set(fields)


def test_what_is_named_is_sent_secret_or_not() -> None:
    hook = ModelHook(Person, post_save, name="person", provides_args=("id", "secret"))
    assert hook.prepare_payload(Person, {"instance": Person(pk=3, secret="s")}) == {
        "id": 3,
        "secret": "s",
    }


def test_relations_give_the_key_files_their_name_properties_their_value() -> None:
    person = Person(name="Joe", photo="joe.png", boss=Person(pk=7))
    names = ["boss", "boss_id", "photo", "greeting", "pk"]
    assert [value_of(person, name) for name in names] == [7, 7, "joe.png", "Hello Joe", None]


def test_fixtures_raise_no_event() -> None:
    hook = ModelHook(Person, post_save, name="person")
    assert hook.prepare_payload(Person, {"instance": Person(), "raw": True}) is None


def test_a_hook_of_a_model_on_m2m_changed_would_never_hear_it() -> None:
    with pytest.raises(ConfigurationError, match=r"SignalHook with `sender = Model.field.through`"):
        ModelHook(Person, m2m_changed, name="person.groups")


def test_a_subclass_says_model_and_signal_as_attributes() -> None:
    class PersonHook(ModelHook):
        name = "person"
        model = Person
        signal = post_save

    hook = PersonHook()
    assert (hook.model, hook.sender, hook.signal) == (Person, Person, post_save)
