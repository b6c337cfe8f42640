"""tests/unit needs no broker, no database and no clock."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Function) -> None:
    """Fail a test that would start a server."""
    if item.get_closest_marker("django_db") or {"rabbitmq", "postgresql"} & set(item.fixturenames):
        pytest.fail("a test of tests/unit needs no server: move it to tests/integration")
