"""What a ModelHook sends of an instance: never by itself what looks like a secret."""

import re
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.fields.files import FieldFile

SECRET = re.compile(r"pass(word|wd|phrase|code)|token|secret|credential|encrypted", re.IGNORECASE)
"""In a field's name, or in the name of its class."""
SECRET_WORD = re.compile(r"(.*keys?|hash|salt|pin|otp|pwd)[0-9]*", re.IGNORECASE)
"""A word of a field's name. Not of its class, which may be ForeignKey."""


def is_secret(field: "models.Field[Any, Any]") -> bool:
    """Say whether a field is named or typed like a secret, or holds bytes that nobody can read."""
    return (
        bool(SECRET.search(f"{field.name} {type(field).__name__}"))
        or any(SECRET_WORD.fullmatch(word) for word in field.name.split("_"))
        or isinstance(field, models.BinaryField)
    )


def value_of(instance: models.Model, name: str) -> Any:
    """Return an attribute of `instance` as it is sent: of relations the key, of a file its name."""
    try:
        field = instance._meta.get_field(name)
    except FieldDoesNotExist:
        field = None
    if isinstance(field, models.Field) and field.concrete and not field.many_to_many:
        return _column(instance, field)
    value = getattr(instance, name)
    if not isinstance(value, models.Manager):
        return value
    # Not from a replica, which may not have yet what this transaction has written.
    return list(value.using(instance._state.db).values_list("pk", flat=True))


def _column(instance: models.Model, field: "models.Field[Any, Any]") -> Any:
    if not _is_known(instance, field):
        # None of a row that is not there yet.
        row = type(instance)._base_manager.using(instance._state.db).filter(pk=instance.pk)
        return row.values_list(field.name, flat=True).first()
    value = field.value_from_object(instance)
    return value.name if isinstance(value, FieldFile) else value


def _is_known(instance: models.Model, field: "models.Field[Any, Any]") -> bool:
    """Say whether the instance has the field's value; if not, only the database knows it."""
    if field.attname not in vars(instance):
        return False  # It is deferred.
    if getattr(field, "generated", False):  # Django has these since 5.0.
        return False  # An UPDATE does not tell what it has become.
    # Saved as F("count") + 1, say.
    return not hasattr(vars(instance)[field.attname], "resolve_expression")
