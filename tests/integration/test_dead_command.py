"""`durian dead`: on RabbitMQ, and on the broker in memory, which only this process sees."""

import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from durian import roles
from durian.models import Listener
from durian.wire.broker import Broker, Incoming, Outgoing
from durian.wire.dead import Autopsy, letter
from durian.wire.messages import DeliveryMessage, decode, encode
from durian.wire.publishing import publish_all
from tests.integration.wire.harness import take, wait_for, waiting
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.unit.wire.make import delivery, event

NOW = 1_750_000_000.0


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Dead = Callable[..., Said]


@pytest.fixture(params=["memory", "rabbitmq"])
def broker(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Broker:
    # A command by itself would look into an empty memory.
    monkeypatch.setattr(roles, "is_embedded", lambda: False)
    url, prefix = "memory://", f"{uuid.uuid4().hex}."
    if request.param == "rabbitmq":
        prefix = request.getfixturevalue("amqp_prefix")
        url = request.getfixturevalue("rabbitmq").url
    settings.DURIAN = {**settings.DURIAN, "BROKER_URL": url, "NAME_PREFIX": prefix}
    broker = roles.broker()
    broker.declare(public=False)
    return broker


@pytest.fixture
def dead(broker: Broker, capsys: pytest.CaptureFixture[str]) -> Dead:
    def run(*arguments: object) -> Said:
        code = 0
        try:
            call_command("durian", "dead", *map(str, arguments))
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


def bury(broker: Broker, *autopsies: Autopsy) -> list[str]:
    """Put a dead letter for each of `autopsies` on the broker; return their ids."""
    letters = [
        letter(
            broker.topology,
            Incoming(0, encode(delivery(hook=autopsy.hook)), {}, False, broker.topology.deliver),
            autopsy,
        )
        for autopsy in autopsies
    ]
    put(broker, *letters)
    return [one.message_id for one in letters]


def put(broker: Broker, *letters: Outgoing) -> None:
    """Put `letters` on the broker, beside those that are there."""
    before = waiting(broker, broker.topology.dead)
    publisher = broker.publisher()
    publish_all(publisher, letters)
    publisher.close()
    wait_for(broker, broker.topology.dead, before + len(letters))


GONE = Autopsy("gone", "410 Gone", hook="order.paid", listener=1, last_status=410, died=NOW)
TIRED = Autopsy("exhausted", "500", hook="order.paid", listener=2, attempts=8, died=NOW + 60)
OTHER = Autopsy("exhausted", "503", hook="person.new", listener=3, attempts=8, died=NOW + 90)


def test_the_list_names_each_letter_and_leaves_it(broker: Broker, dead: Dead) -> None:
    ids = bury(broker, GONE, TIRED, OTHER)
    said = dead("list")
    assert said.code == 0
    for name in (*ids, "410 Gone", "exhausted", "person.new", "2025-06-15 15:06:40Z"):
        assert name in said.out
    assert "3 of 3 dead letters; 3 shown." in said.out
    wait_for(broker, broker.topology.dead, 3)


def test_a_letter_is_one_line_in_a_pipe(broker: Broker, dead: Dead) -> None:
    (name,) = bury(broker, replace(GONE, detail="word " * 199 + "last"))
    (line,) = [one for one in dead("list").out.splitlines() if name in one]
    assert line.rstrip().endswith("last")


def test_an_empty_list_says_so(dead: Dead) -> None:
    assert "0 of 0 dead letters" in dead("list").out


def test_the_list_may_be_limited_and_says_how_many_there_are(broker: Broker, dead: Dead) -> None:
    bury(broker, GONE, TIRED, OTHER)
    assert "3 of 3 dead letters; 2 shown." in dead("list", "--limit", 2).out


def test_the_list_as_json_has_a_line_for_each_letter(broker: Broker, dead: Dead) -> None:
    ids = bury(broker, GONE, TIRED)
    lines = dead("list", "--json").lines
    assert [line["id"] for line in lines] == ids
    assert [line["reason"] for line in lines] == ["gone", "exhausted"]
    assert lines[0] | {"last_status": 410, "listener": 1, "died": NOW} == lines[0]


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["--hook", "order.paid"], [0, 1]),
        (["--listener", "3"], [2]),
        (["--reason", "exhausted"], [1, 2]),
        (["--reason", "exhausted", "--hook", "order.paid"], [1]),
        (["--reason", "nonsense"], []),
        (["--older", "30d"], [0]),
        (["--listener", "0"], []),
        (["--newer", "0s"], []),
        (["--newer", "1h"], [1]),
        (["--older", "1h", "--newer", "7d"], [2]),
    ],
)
def test_letters_are_selected(
    broker: Broker, dead: Dead, options: list[str], chosen: list[int]
) -> None:
    now = time.time()
    ages = {0: 40 * 86400, 1: 60, 2: 2 * 86400}
    plain = [GONE, TIRED, OTHER]
    ids = bury(
        broker,
        *(
            Autopsy(one.reason, hook=one.hook, listener=one.listener, died=now - ages[number])
            for number, one in enumerate(plain)
        ),
    )
    found = [line["id"] for line in dead("list", "--json", *options).lines]
    assert found == [ids[number] for number in chosen]
    # The same choice, taken away.
    dead("discard", *(options))
    wait_for(broker, broker.topology.dead, 3 - len(chosen))


def test_letters_are_selected_by_id(broker: Broker, dead: Dead) -> None:
    ids = bury(broker, GONE, TIRED, OTHER)
    assert [line["id"] for line in dead("list", "--json", ids[2], ids[0]).lines] == [
        ids[0],
        ids[2],
    ]


def test_a_letter_is_shown_with_all_that_is_known(broker: Broker, dead: Dead) -> None:
    _, name = bury(broker, GONE, TIRED)
    out = dead("show", name).out
    for text in ("exhausted", "order.paid", broker.topology.deliver, "12.50", "2025-06-15"):
        assert text in out
    shown = json.loads(dead("show", name, "--json").out)
    assert shown["attempts"] == 8
    assert decode(DeliveryMessage, shown["body"].encode()).hook == "order.paid"
    wait_for(broker, broker.topology.dead, 2)


def test_a_letter_that_is_not_there_is_an_error(dead: Dead) -> None:
    said = dead("show", "[/nothing]")
    assert said.code == 1
    assert "There is no dead letter '[/nothing]'" in said.err
    assert said.out == ""


def test_a_hostile_text_is_only_text(broker: Broker, dead: Dead) -> None:
    (name,) = bury(broker, Autopsy("gone", "a [/red] b \x1b[2J\x07 c", hook="order.paid"))
    for said in (dead("list"), dead("show", name)):
        assert "a [/red] b" in said.out
        assert "\x1b[2J" not in said.out
        assert "\x07" not in said.out


@pytest.fixture
def active(db: None) -> None:
    """The listeners that the letters are for."""
    for number in (1, 2, 3):
        Listener.objects.create(pk=number, hook="order.paid", url="http://where.joe/")


@pytest.mark.django_db
@pytest.mark.usefixtures("active")
def test_a_replay_sends_again_with_attempts_anew(broker: Broker, dead: Dead) -> None:
    _, name, _ = bury(broker, GONE, TIRED, OTHER)
    said = dead("replay", name)
    assert (said.code, "1 of 3 dead letters replayed." in said.out) == (0, True)
    (incoming,) = take(broker, broker.topology.deliver, 1)
    again = decode(DeliveryMessage, incoming.body)
    assert (again.attempt, bool(again.run)) == (1, True)
    wait_for(broker, broker.topology.dead, 2)


@pytest.mark.django_db
@pytest.mark.usefixtures("active")
def test_all_are_replayed_when_all_is_said(broker: Broker, dead: Dead) -> None:
    bury(broker, GONE, TIRED, OTHER)
    assert "3 of 3 dead letters replayed." in dead("replay", "--all").out
    wait_for(broker, broker.topology.deliver, 3)
    assert waiting(broker, broker.topology.dead) == 0


def test_discarding_destroys_what_was_chosen_only(broker: Broker, dead: Dead) -> None:
    ids = bury(broker, GONE, TIRED, OTHER)
    assert "2 of 3 dead letters discarded." in dead("discard", "--reason", "exhausted").out
    wait_for(broker, broker.topology.dead, 1)
    assert [line["id"] for line in dead("list", "--json").lines] == [ids[0]]
    assert waiting(broker, broker.topology.deliver) == 0


@pytest.mark.django_db
@pytest.mark.usefixtures("active")
@pytest.mark.parametrize("state", [Listener.State.PAUSED, Listener.State.DISABLED])
def test_letters_to_a_listener_that_takes_nothing_stay_until_it_is_resumed(
    broker: Broker, dead: Dead, state: str
) -> None:
    values = {"hook": "order.paid", "url": "http://where.joe/", "state": state}
    listener = Listener.objects.create(pk=700, **values)
    resting = replace(TIRED, listener=listener.pk)
    ids = bury(broker, GONE, resting, OTHER)
    text = "1 stay: their listeners are paused, disabled or deleted: "
    for said in (dead("replay", "--all", "--dry-run"), dead("replay", "--all")):
        assert (said.code, f"{text}{listener.pk}." in said.out) == (1, True)
        assert "2 of 3 dead letters" in said.out
    wait_for(broker, broker.topology.deliver, 2)
    assert [line["id"] for line in dead("list", "--json").lines] == [ids[1]]
    listener.set_state(Listener.State.ACTIVE)
    assert dead("replay", "--all").code == 0
    wait_for(broker, broker.topology.deliver, 3)


@pytest.mark.django_db
@pytest.mark.usefixtures("active")
def test_letters_to_a_deleted_listener_stay(broker: Broker, dead: Dead) -> None:
    ids = bury(broker, GONE, TIRED, OTHER)
    Listener.objects.get(pk=2).delete()
    said = dead("replay", "--all")
    assert (said.code, "2 of 3 dead letters replayed." in said.out) == (1, True)
    assert "1 stay: their listeners are paused, disabled or deleted: 2." in said.out
    assert [line["id"] for line in dead("list", "--json").lines] == [ids[1]]


@pytest.mark.django_db
@pytest.mark.usefixtures("active")
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_letter_that_the_broker_does_not_take_is_named(broker: Broker, dead: Dead) -> None:
    names, body = broker.topology, encode(delivery())
    refused = letter(names, Incoming(0, body, {}, False, "q" * 300), GONE)
    put(broker, refused)
    bury(broker, TIRED)
    said = dead("replay", "--all")
    assert (said.code, "1 of 2 dead letters replayed." in said.out) == (1, True)
    assert f"{refused.message_id} stays: the broker does not take its " in said.err
    assert "bytes: AMQP cannot carry the message" in said.err
    wait_for(broker, names.deliver, 1)
    assert [line["id"] for line in dead("list", "--json").lines] == [refused.message_id]


@pytest.mark.django_db
def test_an_event_that_was_for_no_listener_yet_is_replayed(broker: Broker, dead: Dead) -> None:
    names, body = broker.topology, encode(event())
    put(broker, letter(names, Incoming(0, body, {}, False, names.match), Autopsy("handler-error")))
    assert dead("replay", "--all").code == 0
    assert take(broker, names.match, 1)[0].body == body


@pytest.mark.django_db
@pytest.mark.parametrize("action", ["replay", "discard"])
def test_nothing_is_changed_for_all_unless_all_is_said(
    broker: Broker, dead: Dead, action: str
) -> None:
    bury(broker, GONE, TIRED)
    said = dead(action)
    assert (said.code, "--all" in said.out) == (2, True)
    wait_for(broker, broker.topology.dead, 2)


@pytest.mark.django_db
@pytest.mark.usefixtures("active")
@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_dry_run_counts_and_changes_nothing(broker: Broker, dead: Dead, action: str) -> None:
    bury(broker, GONE, TIRED)
    said = dead(action, "--all", "--dry-run")
    assert f"2 of 2 dead letters would be {action}ed." in said.out
    wait_for(broker, broker.topology.dead, 2)
    assert waiting(broker, broker.topology.deliver) == 0


def test_an_export_writes_bodies_and_leaves_the_letters(
    broker: Broker, dead: Dead, tmp_path: Path
) -> None:
    ids = bury(broker, GONE, TIRED)
    target = tmp_path / "letters.jsonl"
    assert f"2 dead letters written to {target}" in dead("export", "--output", target).out
    written = [json.loads(line) for line in target.read_text().splitlines()]
    wait_for(broker, broker.topology.dead, 2)
    assert [line["id"] for line in written] == ids
    assert all(decode(DeliveryMessage, line["body"].encode()) for line in written)
    assert dead("export", "--hook", "order.paid").lines == written


def test_an_export_takes_the_place_of_the_one_before(
    broker: Broker, dead: Dead, tmp_path: Path
) -> None:
    (name,) = bury(broker, GONE)
    target, link = tmp_path / "letters.jsonl", tmp_path / "latest"
    target.write_text("what was there before is longer than a letter\n" * 1000)
    target.chmod(0o640)
    link.symlink_to(target)
    dead("export", "--output", link)
    assert json.loads(target.read_text())["id"] == name
    assert target.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert {one.name for one in tmp_path.iterdir()} == {"letters.jsonl", "latest"}


@pytest.mark.parametrize("before", ["the export of yesterday", None])
def test_an_export_that_fails_leaves_the_one_before(
    settings: Settings, tmp_path: Path, before: str | None
) -> None:
    settings.DURIAN = {**settings.DURIAN, "BROKER_URL": "amqp://127.0.0.1:1//"}
    target = tmp_path / "letters.jsonl"
    if before:
        target.write_text(before)
    with pytest.raises(CommandError, match="is away"):
        call_command("durian", "dead", "export", "--output", str(target))
    assert [one.read_text() for one in tmp_path.iterdir()] == ([before] if before else [])


def test_an_export_to_what_is_no_file_is_written_to_it(
    broker: Broker, dead: Dead, tmp_path: Path
) -> None:
    (name,) = bury(broker, GONE)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        dead("export", "--output", pipe)
        assert json.loads(reader.read())["id"] == name
    assert pipe.is_fifo()


def test_an_export_that_cannot_be_written_is_told(broker: Broker, dead: Dead) -> None:
    bury(broker, GONE)
    with pytest.raises(CommandError, match=r"Cannot write to /nowhere/x: No such file"):
        dead("export", "--output", "/nowhere/x")
    wait_for(broker, broker.topology.dead, 1)


@pytest.mark.parametrize("text", ["7", "7w", "-1d", "d", ""])
def test_an_age_without_sense_is_refused(dead: Dead, text: str) -> None:
    with pytest.raises(CommandError, match="is no age: give a number and s, m, h or d"):
        dead("list", f"--older={text}")


def test_a_broker_that_is_away_is_told(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "amqp://user:hunter2@127.0.0.1:1//"
    settings.DURIAN = {**settings.DURIAN, "BROKER_URL": url}
    with pytest.raises(CommandError, match="is away") as caught:
        call_command("durian", "dead", "list")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("arguments", [["list"], ["export"], ["discard", "--all"]])
def test_a_queue_that_is_not_there_is_no_empty_one(
    settings: Settings, rabbitmq: PrivateRabbitMQ, arguments: list[str]
) -> None:
    prefix = f"{uuid.uuid4().hex}."
    settings.DURIAN = {**settings.DURIAN, "BROKER_URL": rabbitmq.url, "NAME_PREFIX": prefix}
    text = rf"no queue '{prefix}durian.dead.v1' .*NAME_PREFIX right\?.*durian topology"
    with pytest.raises(CommandError, match=text):
        call_command("durian", "dead", *arguments)
