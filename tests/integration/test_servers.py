"""The private servers do what every other test relies on."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import amqp
import psutil
import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections

from tests.servers.free import TimedOut, free_port, wait_until
from tests.servers.nginx import PrivateNginx
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.receiver import Answer, Received, Receiver
from tests.servers.slow import SlowReceiver
from tests.servers.tcp_proxy import TcpProxy
from tests.versions import immediate_sqlite


def connect(rabbitmq: PrivateRabbitMQ) -> amqp.Connection:
    return amqp.Connection(f"127.0.0.1:{rabbitmq.port}", confirm_publish=True)


def declare(rabbitmq: PrivateRabbitMQ, queue: str) -> None:
    with connect(rabbitmq) as broker:
        broker.channel().queue_declare(
            queue, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
        )


def test_a_confirmed_message_survives_the_death_of_the_node(
    rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    queue = amqp_prefix + "survivor"
    declare(rabbitmq, queue)
    with connect(rabbitmq) as broker:
        message = amqp.Message("kept", delivery_mode=2)
        broker.channel().basic_publish_confirm(message, routing_key=queue)
    rabbitmq.flush()
    dying = rabbitmq.pid
    rabbitmq.kill()
    assert not psutil.pid_exists(dying)
    rabbitmq.start()
    with connect(rabbitmq) as broker:
        assert broker.channel().basic_get(queue).body == "kept"


def test_the_queues_of_a_test_can_be_listed_and_deleted(
    rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    declare(rabbitmq, amqp_prefix + "a")
    declare(rabbitmq, "other-" + amqp_prefix)
    assert rabbitmq.queues(amqp_prefix) == [amqp_prefix + "a"]
    rabbitmq.delete_queues(amqp_prefix)
    assert rabbitmq.queues(amqp_prefix) == []
    assert rabbitmq.queues("other-" + amqp_prefix) == ["other-" + amqp_prefix]
    rabbitmq.delete_queues("other-" + amqp_prefix)


def test_a_failing_rabbitmqctl_says_why(rabbitmq: PrivateRabbitMQ) -> None:
    with pytest.raises(AssertionError, match="unknown-command"):
        rabbitmq.ctl("unknown-command")


def test_stopping_a_node_leaves_no_process_and_no_data() -> None:
    node = PrivateRabbitMQ()
    node.start()
    started = [psutil.Process(node.pid), psutil.Process(node.epmd_pid)]
    node.stop()
    assert not any(process.is_running() for process in started)
    assert not node.directory.exists()


def test_postgresql_keeps_what_was_committed_when_it_is_killed(
    postgresql: PrivatePostgreSQL,
) -> None:
    database = postgresql.create_database("kept")
    with psycopg.connect(postgresql.url_of(database["NAME"])) as session:
        session.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    postgresql.restart()
    with psycopg.connect(postgresql.url_of("kept")) as session:
        assert session.execute("SELECT seven FROM kept").fetchone() == (7,)


def test_stopping_postgresql_leaves_no_process_and_no_data() -> None:
    server = PrivatePostgreSQL()
    server.start()
    with psycopg.connect(server.url) as session:
        backend = psutil.Process(session.info.backend_pid)
    server.stop()
    assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
    assert not server.directory.exists()


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_both_databases_are_there_and_apart(default_database: str) -> None:
    assert connection.vendor == default_database
    assert {connections[alias].vendor for alias in connections} == {"postgresql", "sqlite"}
    Group.objects.create(name="here")
    assert not Group.objects.using("other").exists()


@pytest.mark.django_db(transaction=True)
def test_a_thread_uses_the_same_database(default_database: str) -> None:
    Group.objects.create(name="here")
    seen: list[object] = []

    def look() -> None:
        seen.extend([connection.vendor, Group.objects.get().name])
        connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [default_database, "here"]


@immediate_sqlite
@pytest.mark.django_db(transaction=True)
def test_sqlite_begins_a_transaction_with_its_lock(default_database: str) -> None:
    sqlite = connections["default" if default_database == "sqlite" else "other"]
    assert sqlite.settings_dict["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_the_receiver_records_requests_and_answers_as_told(receiver: Receiver) -> None:
    receiver.answer("/made", Answer(201, {"X-Seen": "yes"}, b"thanks"))
    request = urllib.request.Request(receiver.url("/made"), b"body", {"Webhook-Id": "1"})
    with urllib.request.urlopen(request) as response:
        assert (response.status, response.headers["x-seen"], response.read()) == (
            201,
            "yes",
            b"thanks",
        )
    (received,) = receiver.wait_for(1)
    assert (received.method, received.path, received.body) == ("POST", "/made", b"body")
    assert received.headers["webhook-id"] == "1"


def test_the_receiver_can_compute_its_answer(receiver: Receiver) -> None:
    def echo(request: Received) -> Answer:
        return Answer(body=request.body.upper(), delay=0.05)

    receiver.answer("/echo", echo)
    started = time.monotonic()
    with urllib.request.urlopen(receiver.url("/echo"), b"said") as response:
        assert response.read() == b"SAID"
    assert time.monotonic() - started >= 0.05


def test_a_proxy_tears_one_connection_right_behind_what_it_was_told(receiver: Receiver) -> None:
    proxy = TcpProxy(receiver.port)
    with (
        socket.create_connection(("127.0.0.1", proxy.port)) as torn,
        socket.create_connection(("127.0.0.1", proxy.port)) as whole,
    ):
        proxy.tear(b"Content-Length: ")
        request = b"POST /torn HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"
        torn.sendall(request)
        assert torn.recv(1) == b""
        assert proxy.torn
        whole.sendall(request.replace(b"torn", b"whole"))
        assert whole.recv(1)
    proxy.close()
    assert [received.path for received in receiver.requests] == ["/whole"]


def test_a_proxy_refuses_connections_until_it_opens_again(receiver: Receiver) -> None:
    proxy = TcpProxy(receiver.port)
    proxy.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))
    proxy.open()
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.port}/", b"again") as response:
        assert response.status == 200
    proxy.close()


def test_waiting_for_requests_is_bounded(receiver: Receiver) -> None:
    with pytest.raises(TimedOut, match="0 requests"):
        receiver.wait_for(lambda requests: len(requests) > 3, timeout=0.05)


def test_waiting_for_a_condition_names_it() -> None:
    with pytest.raises(TimedOut, match=r"0\.05 s in vain: pigs fly"):
        wait_until(lambda: False, 0.05, "pigs fly")


def test_a_free_port_is_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no such option; exit 3"]
    server = ServerProcess(command, {"PATH": os.environ["PATH"]}, tmp_path / "log")
    with pytest.raises(AssertionError, match=r"(?s)code 3.*no such option"):
        server.start(ready=lambda: False)


def test_a_server_ends_with_the_python_that_started_it(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from tests.servers.process import ServerProcess\n"
        "server = ServerProcess(['sleep', '600'], dict(os.environ), pathlib.Path(sys.argv[1]))\n"
        "server.start(ready=lambda: True)\n"
        "print(server.pid)\n"
        "sys.exit('a failure')\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stderr == "a failure\n"
    assert not psutil.pid_exists(int(done.stdout))


def test_a_server_that_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    command = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]
    log = tmp_path / "log"
    server = ServerProcess(command, {"PATH": os.environ["PATH"]}, log)
    server.start(ready=lambda: "ready" in log.read_text())
    server.end(signal.SIGTERM, timeout=0.1)
    assert not server.running


def test_a_slow_receiver_lets_many_wait_at_once(tmp_path: Path) -> None:
    slow = SlowReceiver(tmp_path, delay=0.3, hosts=2)
    slow.start()
    try:
        hosts = [urlsplit(slow.url()).hostname for _ in range(50)]
        connections = [socket.create_connection((host, slow.port)) for host in hosts]
        began = time.monotonic()
        for number, one in enumerate(connections):
            one.sendall(b"POST / HTTP/1.1\r\nWebhook-Id: event-%d\r\n" % number)
            one.sendall(b"Content-Length: 4\r\n\r\nbody")
        answers = [one.recv(1000) for one in connections]
        took = time.monotonic() - began
        for one in connections:
            one.close()
        wait_until(lambda: len(slow.arrivals.read_text().split()) == 100, 5, "all are logged")
    finally:
        slow.stop()
    assert set(hosts) == {"127.0.0.1", "127.0.0.2"}
    assert all(answer.startswith(b"HTTP/1.1 204") for answer in answers)
    assert 0.3 <= took < 0.3 * 50
    assert {f"event-{number}" for number in range(50)} <= set(slow.arrivals.read_text().split())


def test_nginx_logs_what_arrives(tmp_path: Path) -> None:
    nginx = PrivateNginx(logs=True)
    nginx.start()
    try:
        before = time.time()
        headers = {"webhook-id": "event-1"}
        urllib.request.urlopen(urllib.request.Request(nginx.url(), b"{}", headers), timeout=5)
        wait_until(nginx.arrivals.read_text, 5, "it is logged")
        moment, name = nginx.arrivals.read_text().split()
    finally:
        nginx.stop()
    assert name == "event-1"
    assert before - 0.1 <= float(moment) <= time.time()
