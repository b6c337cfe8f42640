"""`durian status` and `durian topology`: what an operator asks first."""

import json
import subprocess
from typing import Any

import pytest

from tests.acceptance.shop import Shop
from tests.servers.free import free_port
from tests.servers.rabbitmq import PrivateRabbitMQ

Done = subprocess.CompletedProcess[str]


def problems(done: Done) -> list[str]:
    """Return what `durian status --json` found; its exit code has to agree."""
    found: list[str] = json.loads(done.stdout)["problems"]
    assert done.returncode == bool(found)
    return found


def test_all_is_well(shop: Shop) -> None:
    with shop.running("matcher"), shop.running("deliverer"):
        done = shop.run("status", "--json")
        status: dict[str, Any] = json.loads(done.stdout)
        assert problems(done) == []
        said = shop.run("status")
    assert (said.returncode, "All is well." in said.stdout) == (0, True)
    assert set(status) >= {"queues", "outbox", "listeners", "problems"}
    assert all(queue["exists"] for queue in status["queues"])
    assert status["outbox"]["default"]["waiting"] == 0
    assert status["listeners"] == {"active": 0, "paused": 0, "disabled": 0}


@pytest.mark.parametrize(("there", "missing"), [("matcher", "deliverer"), ("deliverer", "matcher")])
def test_a_role_that_nobody_plays_is_named(shop: Shop, there: str, missing: str) -> None:
    with shop.running(there):
        (problem,) = problems(shop.run("status", "--json"))
    assert f"durian {missing}" in problem


def test_a_broker_that_is_away_is_named_without_its_password(shop: Shop) -> None:
    port = free_port()
    url = f"amqp://guest:hush-hush@127.0.0.1:{port}//"
    done = shop.run("status", "--json", BROKER_URL=url)
    (problem,) = problems(done)
    assert f"127.0.0.1:{port}" in problem
    assert "hush" not in done.stdout + done.stderr


def test_a_database_that_is_away_is_named(shop: Shop) -> None:
    away = Shop(shop.folder, {**shop.database, "PORT": free_port()}, **shop.durian)
    found = problems(away.run("status", "--json"))
    assert any("database 'default' is away" in problem for problem in found)


def test_queues_that_are_missing_are_named_shown_and_declared(
    shop: Shop, rabbitmq: PrivateRabbitMQ
) -> None:
    prefix = f"new-{shop.durian['NAME_PREFIX']}"
    try:
        (problem,) = problems(shop.run("status", "--json", NAME_PREFIX=prefix))
        assert "durian topology" in problem
        shown = shop.run("topology", "--show", NAME_PREFIX=prefix)
        assert (shown.returncode, f"{prefix}durian.dead.v1" in shown.stdout) == (1, True)
        assert f"\nMissing: {prefix}durian.events, {prefix}durian." in shown.stdout
        assert rabbitmq.queues(prefix) == [], "showing declares nothing"
        assert shop.run("topology", NAME_PREFIX=prefix).returncode == 0
        assert f"{prefix}durian.deliver.v1" in rabbitmq.queues(prefix)
        assert shop.run("topology", "--show", NAME_PREFIX=prefix).returncode == 0
        again = shop.run("topology", "--json", NAME_PREFIX=prefix)
        assert (again.returncode, json.loads(again.stdout)["missing"]) == (0, [])
    finally:
        rabbitmq.delete_queues(prefix)
