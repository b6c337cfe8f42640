"""The command `durian`, before it hands over to Django's."""

import os
import sys

import django
import pytest

from durian import __main__


def test_the_demo_wants_a_django_whose_sqlite_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["durian", "demo"])
    monkeypatch.setattr(django, "VERSION", (5, 0, 9, "final", 0))
    monkeypatch.setattr(os, "environ", {})
    with pytest.raises(SystemExit, match=r"SQLite.* from 5\.1 on\. .*take a newer one"):
        __main__.main()
