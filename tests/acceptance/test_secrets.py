"""Secrets are planted, everything is run and made to fail, and all that was written is searched."""

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import amqp
import psycopg
import pytest
from psycopg import sql
from standardwebhooks import Webhook

from deliverer.http import Settings
from durian import conf
from durian.conf import Config
from durian.guard import Guard
from durian.signing import Signer
from durian.vault import Vault
from durian.wire.connect import broker
from tests.acceptance.shop import PYTHON, ROOT, Shop, order
from tests.servers.free import free_port, wait_until
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.process import ServerProcess
from tests.servers.proxy import running_proxy
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.receiver import Answer, Receiver

USER = "shopkeeper"
EVERYTHING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"all": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["all"], "level": "DEBUG"},
}
COMMANDS = [
    ["status"],
    ["status", "--json"],
    ["topology", "--show", "--json"],
    ["dead", "list"],
    ["dead", "export"],
    ["replay", "--all", "--since", "1h", "--dry-run"],
    ["rekey"],
    ["rekey", "--json"],
    ["prune", "--dry-run"],
]


class LoudShop(Shop):
    """A shop that logs whatever any of its packages has to say."""

    def env(self, **durian: Any) -> dict[str, str]:
        return {**super().env(**durian), "TEST_LOGGING": json.dumps(EVERYTHING)}

    def process(self, role: str, code: Path = ROOT, **durian: Any) -> ServerProcess:
        process = super().process(role, code, **durian)
        process.command = [PYTHON, "-m", "durian", "--verbosity", "2", role]
        return process


class Planted:
    """What must be found nowhere."""

    def __init__(self) -> None:
        # Of no letters but these: one that begins with a hyphen would be an option of rabbitmqctl.
        self.key, self.old_key, self.broker, self.proxy = (secrets.token_hex(24) for _ in range(4))
        self.signing: list[str] = []

    def forms(self) -> dict[str, str]:
        """Every way in which one of them may be written, with a name for it."""
        plain = {
            "the key": self.key,
            "the old key": self.old_key,
            "the broker's password": self.broker,
            "the proxy's password": self.proxy,
        }
        for name, secret in [*plain.items()]:
            plain[f"{name}, as a header has it"] = b64encode(f"{USER}:{secret}".encode()).decode()
            plain[f"{name}, quoted"] = quote(secret, safe="")
        for number, secret in enumerate(self.signing):
            material = secret.removeprefix("whsec_")
            plain[f"signing secret {number}"] = material
            plain[f"signing secret {number}, in hexadecimal"] = b64decode(material).hex()
            plain[f"signing secret {number}, as Python shows bytes"] = repr(b64decode(material))[
                2:-1
            ]
        return plain

    def found_in(self, traces: Mapping[str, str]) -> list[str]:
        """Say which was found where."""
        return [
            f"{name} in {place}"
            for place, text in traces.items()
            for name, form in self.forms().items()
            if form in text
        ]


@pytest.fixture
def planted() -> Planted:
    return Planted()


@pytest.fixture
def broker_url(rabbitmq: PrivateRabbitMQ, planted: Planted) -> Iterator[str]:
    """The address of the broker for a user whose password is planted."""
    rabbitmq.ctl("add_user", USER, planted.broker)
    rabbitmq.ctl("set_permissions", USER, ".*", ".*", ".*")
    yield f"amqp://{USER}:{planted.broker}@127.0.0.1:{rabbitmq.port}//"
    rabbitmq.ctl("delete_user", USER)


@pytest.fixture
def shop(
    rabbitmq: PrivateRabbitMQ,
    postgresql: PrivatePostgreSQL,
    amqp_prefix: str,
    broker_url: str,
    planted: Planted,
    tmp_path: Path,
) -> Iterator[LoudShop]:
    with running_proxy() as proxy:
        shop = LoudShop(
            tmp_path,
            postgresql.create_database(amqp_prefix),
            BROKER_URL=broker_url,
            NAME_PREFIX=amqp_prefix,
            ENCRYPTION_KEYS=[planted.key, planted.old_key],
            PROXY=proxy.url.replace("//", f"//{USER}:{planted.proxy}@"),
        )
        shop.prepare()
        with shop.web():
            yield shop


def test_no_secret_is_found_anywhere(
    shop: LoudShop,
    planted: Planted,
    receiver: Receiver,
    rabbitmq: PrivateRabbitMQ,
    postgresql: PrivatePostgreSQL,
) -> None:
    prefix = shop.durian["NAME_PREFIX"]
    fill_every_queue(shop, planted, receiver)
    (rotated,) = receiver.at("/fine")
    for secret in planted.signing[:2]:
        # Who has only the old one, and who has only the new one: another implementation than ours.
        Webhook(secret).verify(rotated.body.decode(), dict(rotated.headers))
    fail_in_every_way(shop, planted)
    traces = {
        **messages(rabbitmq, prefix),
        **tables(postgresql.url_of(prefix)),
        **outputs(shop),
        **refusals(shop, planted),
        **reprs(planted, shop),
        **{path.name: path.read_text(errors="replace") for path in shop.folder.glob("*.log")},
    }
    holding = {name.removeprefix(prefix) for name, text in traces.items() if text}
    assert holding >= {
        "durian.match.v1",
        "durian.deliver.v1",
        "durian.delay.2048s.v1",
        "durian.dead.v1",
        "durian_listener",
        "durian_attempt",
        "durian_event",
    }
    assert "Start from server" in "".join(traces.values()), "what amqp logs at DEBUG"
    assert planted.found_in(traces) == []
    everything = {"a trace with all of them": " ".join(planted.forms().values())}
    assert len(planted.found_in(everything)) == len(planted.forms())


def fill_every_queue(shop: LoudShop, planted: Planted, receiver: Receiver) -> None:
    receiver.answer("/bad", Answer(status=500, body=b"no"))
    fine = subscribe(shop, planted, receiver.url("/fine"))
    planted.signing.append(shop.do("rotate", listener=fine))
    subscribe(shop, planted, receiver.url("/bad"), retry={"schedule": [3600], "jitter": 0})
    subscribe(shop, planted, receiver.url("/bad"), retry=False)
    with shop.running("matcher"), shop.running("deliverer"):
        shop.do("place", orders=[order(1)])
        receiver.wait_for(3)
        wait_until(lambda: shop.waiting("dead") == 1, 20, "a dead letter")
    leave_waiting(shop, 2)


def leave_waiting(shop: LoudShop, number: int) -> None:
    with shop.running("matcher"):
        shop.do("place", orders=[order(number)])
        wait_until(lambda: shop.waiting("deliver") >= 3, 20, "deliveries that nobody makes")
    shop.do("place", orders=[order(number + 1)])
    wait_until(lambda: shop.waiting("match") == 1, 20, "an event that nobody matches")


def subscribe(shop: LoudShop, planted: Planted, url: str, **config: Any) -> int:
    made = shop.do("subscribe", url=url, **config)
    planted.signing.append(made["secret"])
    return int(made["id"])


def fail_in_every_way(shop: LoudShop, planted: Planted) -> None:
    """Run roles whose broker refuses the password, whose proxy is away, whose key is lost."""
    away = f"http://{USER}:{planted.proxy}@127.0.0.1:{free_port()}"
    wrong = shop.durian["BROKER_URL"].replace(USER, "guest")
    lost = {"ENCRYPTION_KEYS": ["another"]}
    with shop.running("matcher", says="Cannot consume", BROKER_URL=wrong):
        pass
    with shop.running("deliverer", PROXY=away):
        wait_until(lambda: shop.waiting("deliver") == 0, 20, "attempts by way of no proxy")
    leave_waiting(shop, 4)
    with running_until(shop, "or more, wait: No key", **lost):
        pass
    leave_waiting(shop, 6)


@contextmanager
def running_until(shop: LoudShop, says: str, **durian: Any) -> Iterator[None]:
    with shop.running("deliverer", **durian) as process:
        wait_until(lambda: says in process.log_tail(), 20, f"the log says {says!r}")
        yield


def messages(rabbitmq: PrivateRabbitMQ, prefix: str) -> dict[str, str]:
    """What every queue holds, with all properties."""
    held: dict[str, str] = {}
    with amqp.Connection(f"127.0.0.1:{rabbitmq.port}") as connection:
        channel = connection.channel()
        for queue in rabbitmq.queues(prefix):
            found: list[str] = []
            while one := channel.basic_get(queue):
                found.append(f"{one.body!r} {one.properties}")
            held[queue] = " ".join(found)
    return held


def tables(url: str) -> dict[str, str]:
    """What every table holds."""
    held: dict[str, str] = {}
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        for (name,) in names.fetchall():
            query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))
            held[name] = "\n".join(row for (row,) in connection.execute(query))
    return held


def outputs(shop: LoudShop) -> dict[str, str]:
    """What every command prints."""
    done = {" ".join(command): shop.run(*command) for command in COMMANDS}
    assert all(one.returncode in (0, 1) for one in done.values())
    return {name: one.stdout + one.stderr for name, one in done.items()}


def refusals(shop: LoudShop, planted: Planted) -> dict[str, str]:
    """What is said, with tracebacks, of settings that are wrong and hold a secret."""
    url = shop.durian["BROKER_URL"]
    wrong: list[dict[str, Any]] = [
        {"ENCRYPTION_KEYS": planted.key},
        {"ENCRYPTION_KEYS": [planted.key, ""]},
        {"ENCRYPTION_KEYS": {planted.key: 1}},
        {"BROKER_URL": planted.broker},
        {"BROKER_URL": [url]},
        {"BROKER_URL": f"redis://{USER}:{planted.broker}@h"},
        {"BROKER_URL": f"amqp://{USER}:{planted.broker}/more@127.0.0.1//"},
        {"BROKER_URL": f"amqp://{USER}:{planted.broker}@[::1"},
        {"BROKER_URL": f"amqp://{USER}:{planted.broker}@127.0.0.1:{free_port()}//"},
        {"PROXY": f"ftp://{USER}:{planted.proxy}@h"},
        {"PROXY": f"http://{USER}:{planted.proxy}/more@h"},
        {"PROXY": [planted.proxy]},
        {"NAME_PREFIX": f"{url} "},
        {"RELAY": True, "PROXY": f"http://{USER}:{planted.proxy}@h"},
    ]
    said: dict[str, str] = {}
    for number, durian in enumerate(wrong):
        done = shop.run("--traceback", "--verbosity", "2", "status", **durian)
        assert done.returncode != 0, f"{number}: {done.stdout}"
        said[f"settings {number}, {[*durian]}"] = done.stdout + done.stderr
    return said


def reprs(planted: Planted, shop: LoudShop) -> dict[str, str]:
    """What debuggers and error reports show of the objects that hold secrets."""
    config = conf.read(shop.durian)
    held = [
        config,
        Vault([planted.key]),
        Signer(planted.signing),
        Settings(Guard(), config.proxy),
        broker(config.broker_url, "x."),
    ]
    assert isinstance(config, Config)
    return {f"repr of {type(one).__name__}": f"{one!r} {one}" for one in held}
