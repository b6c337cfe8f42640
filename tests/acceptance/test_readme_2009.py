"""The readme of durian 0.1.0, walked from top to bottom by its reader, in a project of theirs.

It is from 2009: `async = False` is now `asynchronous = False`, `ugettext_lazy` is `gettext_lazy`,
and a parenthesis that it forgot is there.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.servers.free import free_port, wait_until
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.versions import immediate_sqlite

pytestmark = immediate_sqlite

SETTINGS = """
import os

INSTALLED_APPS += ["durian", "people"]
DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}
DURIAN = {
    "BROKER_URL": os.environ["BROKER_URL"],
    "NAME_PREFIX": os.environ["NAME_PREFIX"],
    "ALLOW_NETWORKS": ["127.0.0.0/8"],
}
"""
MODELS = """
from django.db import models
from django.utils.translation import gettext_lazy as _


class Person(models.Model):
    name = models.CharField(_("name"), blank=False, max_length=200)
    address = models.CharField(_("address"), max_length=200)
    secret = models.CharField(_("secret"), max_length=200)
"""
HOOKS = """
from django.db.models import signals
from durian.event import Hook, ModelHook
from durian.registry import hooks
from people.models import Person


class PersonHook(ModelHook):
    name = "person"
    model = Person
    signal = signals.post_save
    provides_args = ["name", "address"]
    asynchronous = False

hooks.register(PersonHook)

# Defining a hook by instantiating a hook class:
myhook = Hook(name="myhook", **{"async": False})
hooks.register(myhook)

# Defining a hook by subclassing a hook class:
class MyHook(Hook):
    name = "mysubclass"
    provides_args = ["name", "address"]
    asynchronous = False

hooks.register(MyHook)
"""
VIEWS = """
import json
from django.conf import settings
from django.http import HttpResponse
from durian.receiver import webhook


def secrets(request):
    return (settings.BASE_DIR / "secrets.txt").read_text().split()


@webhook(secrets)
def listens(request, payload, who):
    # In one piece: requests come in several threads.
    print("received " + json.dumps([who, payload]) + chr(10), end="", flush=True)
    return HttpResponse("thanks!")
"""
URLS = """
from django.urls import path
from people.views import listens

urlpatterns = [path("listening/<who>/", listens)]
"""
LISTENERS = """
from durian.match import Any, Contains, Endswith, Is, Like, Startswith
from durian.registry import hooks
from people.hooks import MyHook, PersonHook

listening = "http://127.0.0.1:{port}/listening"
made = [
    # send event when person with name Joe is changed/added.
    PersonHook().listener(url=f"{{listening}}/joe/").match(name="Joe").save(),
    # send event whenever a person with a name that starts with the letter "J" is changed/added:
    PersonHook().listener(url=f"{{listening}}/j/").match(name=Startswith("J")).save(),
    # send event when any Person is changed/added.
    PersonHook().listener(url=f"{{listening}}/all/").save(),
    # Matching classes
    PersonHook().listener(url=f"{{listening}}/any/").match(name=Any(), age=Any()).save(),
    PersonHook().listener(url=f"{{listening}}/is/").match(name=Is("Bob")).save(),
    PersonHook().listener(url=f"{{listening}}/endswith/").match(name=Endswith("ne")).save(),
    PersonHook().listener(url=f"{{listening}}/contains/").match(name=Contains("o")).save(),
    PersonHook().listener(url=f"{{listening}}/like/").match(name=Like("^.[ao][en]?$")).save(),
    # Creating custom hooks
    hooks["myhook"].listener(url=f"{{listening}}/instance/").match(name=Startswith("G")).save(),
    MyHook().listener(url=f"{{listening}}/subclass/").match(address=Endswith("City")).save(),
]
for listener in made:
    print(listener.signing_secrets()[0])
"""
PEOPLE = """
from people.models import Person

for name in ("Joe", "Jane", "Bob"):
    Person.objects.create(name=name, address="New York City", secret="hush-hush")
"""
TRIGGER = """
from durian.registry import hooks
from people.hooks import MyHook

MyHook().send(sender=None, name="George Constanza", address="New York City")
hooks["myhook"].send(sender=None, name="George Constanza")
hooks["myhook"].send(sender=None, name="Newman")
"""
REGISTER_TWICE = """
from durian.registry import HookRegistry, hooks
from people.hooks import MyHook

try:
    hooks.register(MyHook)
except HookRegistry.AlreadyRegistered as error:
    print(error)
"""
GEORGE = {"name": "George Constanza"}
EVERYBODY = ["Joe", "Jane", "Bob"]
EXPECTED: dict[str, list[str]] = {
    "joe": ["Joe"],
    "j": ["Joe", "Jane"],
    "all": EVERYBODY,
    "any": EVERYBODY,
    "is": ["Bob"],
    "endswith": ["Jane"],
    "contains": ["Joe", "Bob"],
    "like": ["Joe"],
}


class Project:
    """The reader's Django project."""

    def __init__(self, folder: Path, broker_url: str, prefix: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "BROKER_URL": broker_url,
            "NAME_PREFIX": prefix,
        }
        self.log = folder / "web.log"

    def write(self, asynchronous: bool) -> None:
        """Write it, with the readme's hooks; `asynchronous` leaves out what it does for now."""
        self._call("-m", "django", "startproject", "mysite", ".")
        self.manage("startapp", "people")
        with (self.folder / "mysite/settings.py").open("a") as settings:
            settings.write(SETTINGS)
        hooks = HOOKS
        if asynchronous:
            hooks = hooks.replace("    asynchronous = False\n", "").replace(
                ', **{"async": False}', ""
            )
        files = {"people/models": MODELS, "people/hooks": hooks, "people/views": VIEWS}
        for name, text in {**files, "mysite/urls": URLS}.items():
            (self.folder / f"{name}.py").write_text(text)
        self.manage("makemigrations", "people")
        self.manage("migrate")

    def manage(self, *arguments: str) -> str:
        """Run `manage.py` and return what it prints."""
        return self._call("manage.py", *arguments)

    def shell(self, code: str) -> str:
        """Type `code` into `manage.py shell`."""
        return self.manage("shell", "-v0", "-c", code)

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, *arguments: str, says: str, log: Path) -> Iterator[None]:
        """Run `manage.py` with `arguments` during the block, which begins once it `says` so."""
        command = [sys.executable, str(self.folder / "manage.py"), *arguments]
        process = ServerProcess(command, self.env, log)
        process.start(ready=lambda: says in process.log_tail())
        try:
            yield
        finally:
            process.end(signal.SIGTERM)

    def received(self) -> list[tuple[str, dict[str, Any]]]:
        """Return who received what, as the view printed it."""
        lines = self.log.read_text().splitlines()
        found = [line.removeprefix("received ") for line in lines if line.startswith("received ")]
        return [(who, payload) for who, payload in map(json.loads, found)]


def walk(project: Project) -> None:
    """Do what the readme does, once everything runs."""
    secrets = project.shell(LISTENERS.format(port=project.port))
    (project.folder / "secrets.txt").write_text(secrets)
    project.shell(PEOPLE)
    people = sum(map(len, EXPECTED.values()))
    wait_until(lambda: len(project.received()) >= people, 20, "all have received their people")
    received = project.received()
    names = {who: sorted(p["name"] for w, p in received if w == who) for who, _ in received}
    assert names == {who: sorted(expected) for who, expected in EXPECTED.items()}
    assert all(payload.keys() == {"name", "address"} for _, payload in received)
    project.shell(TRIGGER)
    wait_until(lambda: len(project.received()) >= people + 2, 20, "the custom hooks are received")
    custom = sorted(project.received()[people:], key=lambda one: one[0])
    assert custom == [
        ("instance", GEORGE),
        ("subclass", {**GEORGE, "address": "New York City"}),
    ]


def kept(project: Project) -> str:
    """Return all that durian keeps in the database, as text."""
    with closing(sqlite3.connect(project.folder / "db.sqlite3")) as connection:
        events = connection.execute("SELECT body FROM durian_event").fetchall()
        attempts = connection.execute("SELECT error, answer FROM durian_attempt").fetchall()
    assert len(events) == 6
    assert len(attempts) == sum(map(len, EXPECTED.values())) + 2
    return f"{events}{attempts}"


def test_in_this_process(tmp_path: Path) -> None:
    project = Project(tmp_path, "memory://", "")
    project.write(asynchronous=False)
    web = ("runserver", "--noreload", str(project.port))
    with project.running(*web, says="Quit the server", log=project.log):
        walk(project)
    assert "hush" not in kept(project) + project.log.read_text()
    assert "'mysubclass' is registered already" in project.shell(REGISTER_TWICE)


def test_through_rabbitmq(tmp_path: Path, rabbitmq: PrivateRabbitMQ, amqp_prefix: str) -> None:
    project = Project(tmp_path, rabbitmq.url, amqp_prefix)
    project.write(asynchronous=True)
    project.manage("durian", "topology")
    web = ("runserver", "--noreload", str(project.port))
    with ExitStack() as stack:
        stack.enter_context(project.running(*web, says="Quit the server", log=project.log))
        for role in ("matcher", "deliverer"):
            log = tmp_path / f"{role}.log"
            stack.enter_context(project.running("durian", role, says="Consuming", log=log))
        walk(project)
        total = len(project.received())
        wait_until(lambda: _attempts(project) == total, 10, "every attempt is in the log")
    assert "hush" not in kept(project) + project.log.read_text()


def _attempts(project: Project) -> int:
    with closing(sqlite3.connect(project.folder / "db.sqlite3", timeout=20)) as connection:
        return int(connection.execute("SELECT count(*) FROM durian_attempt").fetchone()[0])
