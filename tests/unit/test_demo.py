"""What the demo asks for before it begins."""

import django
import pytest

from durian.cli import demo
from durian.errors import ConfigurationError


def test_the_demo_wants_a_django_whose_sqlite_takes_two_writers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(django, "VERSION", (5, 0, 9, "final", 0))
    with pytest.raises(ConfigurationError, match=r"SQLite.* from 5\.1 on\. .*install a newer one"):
        demo.run({"once": True, "prepare": False, "port": None})
