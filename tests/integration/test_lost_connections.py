"""A lost connection is told from what a database that is there has to say."""

import pytest
from django.db import OperationalError, connections

from durian.database import available_to_the_site
from durian.errors import Unavailable

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def fail() -> None:
    with available_to_the_site():
        raise OperationalError("something is wrong")


def test_what_a_database_that_is_there_says_is_raised_as_it_is() -> None:
    with pytest.raises(OperationalError, match="something is wrong"):
        fail()


def test_the_loss_of_another_connection_is_told_once() -> None:
    other = connections["other"]
    other.close()
    other.errors_occurred = True
    with pytest.raises(Unavailable, match="A database is away: something is wrong"):
        fail()
    # It is not made anew meanwhile.
    with pytest.raises(OperationalError, match="something is wrong"):
        fail()
