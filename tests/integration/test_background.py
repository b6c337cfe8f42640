"""The relay beside the site: in web processes that fork, in scripts that end, in none at all."""

import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
import requests
from pytest_django.fixtures import Settings

from durian import background
from durian.event import Hook
from durian.wire import connect
from durian.wire.broker import Incoming
from durian.wire.wakeup import wait_readable
from tests.acceptance.shop import Shop
from tests.servers.free import free_port, wait_until
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.receiver import Receiver
from tests.settings import SQLITE_OPTIONS

PATIENCE = 30.0

PREAMBLE = """
import os, sys, time
import django
django.setup()
from durian.event import Hook
from durian.models import Event

hook = Hook(name="raised")

def wait_published(*keys):
    deadline = time.monotonic() + 20
    while Event.objects.filter(pk__in=keys, published_at=None).exists():
        if time.monotonic() > deadline:
            sys.exit("not published")
        time.sleep(0.02)
"""


class Site(Shop):
    """A shop whose events are looked for on the broker, and whose scripts are the tests' own."""

    def script(self, text: str, **durian: object) -> str:
        """Run a script to its end and return what it printed. Fails when it does."""
        done = subprocess.run(
            [sys.executable, "-c", PREAMBLE + text],
            env=self.env(**durian),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rows(self, condition: str = "") -> list[str]:
        """The ids of the events in the database, of which `condition` is true."""
        return self.script(
            f"print(*Event.objects.filter({condition}).values_list('pk', flat=True))", RELAY="off"
        ).split()

    def take(self, count: int) -> list[str]:
        """Take `count` events from the matchers' queue, and what follows them; return their ids."""
        broker = connect.broker(self.durian["BROKER_URL"], self.durian["NAME_PREFIX"])
        taken: list[Incoming] = []
        consumer = broker.consumer(broker.topology.match, 5000, taken.append)

        def enough() -> bool:
            wait_readable([consumer], 0.1)
            consumer.read()
            return len(taken) >= count

        wait_until(enough, PATIENCE, f"{count} events are with the broker")
        # One too many would be there by now, or in a moment.
        wait_readable([consumer], 0.3)
        consumer.read()
        for incoming in taken:
            consumer.ack(incoming.tag)
        consumer.close()
        return [incoming.message_id for incoming in taken]


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def site(
    request: pytest.FixtureRequest,
    rabbitmq: PrivateRabbitMQ,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A site with tables and queues; nothing runs."""
    name = f"site-{uuid.uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp(name)
    if request.param == "postgresql":
        postgresql: PrivatePostgreSQL = request.getfixturevalue("postgresql")
        database = postgresql.create_database(name)
    else:
        engine = "django.db.backends.sqlite3"
        database = {
            "ENGINE": engine,
            "NAME": str(folder / "site.sqlite3"),
            "OPTIONS": SQLITE_OPTIONS,
        }
    site = Site(folder, database, BROKER_URL=rabbitmq.url, NAME_PREFIX=f"{name}.")
    site.prepare()
    yield site
    rabbitmq.delete_queues(name)


# Web processes

WSGI = """
import os
from django.core.wsgi import get_wsgi_application

get_wsgi_application()
from django.db import connections
from durian.event import Hook

hook = Hook(name="raised")
# The relay is at work when the workers are forked; the master's own connections must not be.
hook.send(master=os.getpid())
connections.close_all()


def application(environ, start_response):
    sent = hook.send(worker=os.getpid())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {sent.id}".encode()]
"""


def test_workers_that_gunicorn_forks_from_a_preloaded_site_relay_each_for_itself(
    site: Site,
) -> None:
    (site.folder / "preloaded.py").write_text(WSGI)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2"]
    command += ["--bind", f"127.0.0.1:{port}", "--chdir", str(site.folder), "--no-control-socket"]
    web = ServerProcess([*command, "preloaded"], site.env(), site.folder / "web.log")
    web.start(ready=lambda: web.log_tail().count("Booting worker") == 2)
    try:
        raised: dict[str, set[str]] = {}

        def both_have_answered() -> bool:
            pid, event = requests.get(f"http://127.0.0.1:{port}/", timeout=10).text.split()
            raised.setdefault(pid, set()).add(event)
            return len(raised) == 2 and sum(map(len, raised.values())) >= 20

        wait_until(both_have_answered, PATIENCE, "both workers have raised events")
        ids = set.union(*raised.values())
        published = site.take(len(ids) + 1)
        assert ids < set(published)
        assert len(published) == len(ids) + 1, "the master's own, and none twice"
    finally:
        web.kill()


def test_a_process_that_forks_and_its_child_both_relay(site: Site) -> None:
    out = site.script(
        """
from django.db import connections

first = hook.send(n=1)
wait_published(first.id)
hook.send_many([{}] * 1000)
connections.close_all()
child = os.fork()
if child == 0:
    second = hook.send(n=2)
    wait_published(second.id)
    sys.exit()
connections.close_all()
assert os.waitpid(child, 0)[1] == 0
third = hook.send(n=3)
wait_published(third.id)
print("done")
"""
    )
    assert out.split() == ["done"]
    wait_until(lambda: not site.rows("published_at=None"), PATIENCE, "all are published")
    assert len(set(site.take(1003))) == 1003


# Scripts


def test_what_a_busy_script_raised_is_published_once_and_nothing_stays_claimed(site: Site) -> None:
    out = site.script(
        """
first = hook.send()
wait_published(first.id)
claimed = 0
for _ in range(300):
    sent = hook.send()
    claimed += Event.objects.filter(pk=sent.id, claimed_until=None, published_at=None).count() == 0
print(claimed)
"""
    )
    assert int(out) >= 200, "once it is connected, its relay is given what it raises"
    wait_until(lambda: not site.rows("published_at=None"), PATIENCE, "all are published")
    assert site.rows("claimed_until__isnull=False") == []
    taken = site.take(301)
    assert len(taken) == len(set(taken)) == 301


def test_what_a_script_raised_before_it_died_is_swept_by_a_matcher(site: Site) -> None:
    site.script("hook.send_many([{}] * 50); sys.stdout.flush(); os._exit(0)", RELAY="off")
    assert len(site.rows("published_at=None")) == 50
    with site.running("matcher"):
        wait_until(lambda: not site.rows("published_at=None"), PATIENCE, "they are swept")


def test_a_script_that_ends_at_once_leaves_nothing_claimed(site: Site) -> None:
    site.script("hook.send_many([{}] * 50)")
    assert site.rows("claimed_until__isnull=False") == []
    with site.running("matcher"):
        wait_until(lambda: not site.rows("published_at=None"), PATIENCE, "they are swept")


def test_a_script_ends_though_the_broker_is_away(site: Site) -> None:
    url = f"amqp://guest:guest@127.0.0.1:{free_port()}//"
    site.script("hook.send(); time.sleep(0.3)", BROKER_URL=url)
    assert len(site.rows("published_at=None")) == 1
    with site.running("matcher"):
        wait_until(lambda: not site.rows("published_at=None"), PATIENCE, "it is swept")


RELAY = """
from durian import roles
from publisher.relay import Relay

relay = Relay(roles.broker(), ["default"])
print("ready", flush=True)
sys.stdin.readline()
print(relay.drain())
"""


def test_relays_in_processes_publish_no_event_twice(site: Site) -> None:
    before = site.rows()
    site.script("hook.send_many([{}] * 3000)", RELAY="off")
    raised = set(site.rows()) - set(before)
    relays = [
        subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + RELAY],
            env=site.env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for relay in relays:
        assert relay.stdout
        assert relay.stdout.readline() == "ready\n"
    outs = []
    for relay in relays:
        assert relay.stdin
        relay.stdin.write("go\n")
        relay.stdin.flush()
    for relay in relays:
        outs.append(int(relay.communicate(timeout=PATIENCE)[0]))
    assert sum(outs) == 3000
    published = site.take(3000)
    assert len(published) == 3000
    assert set(published) == raised


# In memory


def test_in_memory_all_roles_run_in_the_process_itself(site: Site, receiver: Receiver) -> None:
    site.script(
        f"""
hook.add_listener({receiver.url()!r})
sent = hook.send(n=1)
from durian.models import Attempt
deadline = time.monotonic() + 20
while not Attempt.objects.filter(event=sent.id, outcome="delivered").exists():
    assert time.monotonic() < deadline
    time.sleep(0.02)
""",
        BROKER_URL="memory://",
    )
    (request,) = receiver.requests
    assert request.body == b'{"n": 1}'


# Or none


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("mode", "times"), [("thread", 1), ("process", 0), ("off", 0)])
def test_only_the_mode_thread_runs_a_relay_beside_the_site(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, mode: str, times: int
) -> None:
    settings.DURIAN = {"RELAY": mode}
    claimed: list[int] = []
    given: list[str] = []
    monkeypatch.setattr(background.background, "claim_until", claimed.append)
    monkeypatch.setattr(background.background, "give", lambda using, events: given.append(using))
    Hook(name="myhook").send()
    assert claimed == [1] * times
    assert given == ["default"] * times


def test_a_site_that_raises_nothing_has_no_relay(site: Site) -> None:
    out = site.script("import threading; print(threading.active_count())")
    assert out.split() == ["1"]
