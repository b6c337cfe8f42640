"""A private RabbitMQ node, from the package of the distribution."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import amqp

from tests.servers.free import free_port
from tests.servers.process import ServerProcess

# The scripts on the PATH are wrappers that switch to the user rabbitmq.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")

# Small limits, since a container's free disk and memory are not what the node reads.
CONFIG = """\
disk_free_limit.absolute = 20MB
vm_memory_high_watermark.absolute = {memory}
"""
# After a restart, dead-lettering goes on in 5 s and not in three minutes.
ADVANCED_CONFIG = "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 5000}]}].\n"


class PrivateRabbitMQ:
    """A node of RabbitMQ with its own data, cookie and epmd, on free ports of 127.0.0.1.

    With `joins` it shares cookie and epmd with that node, and joins it at its first start. Above so
    much `memory` it takes no messages. Raises FileNotFoundError when RabbitMQ is not installed.
    """

    def __init__(self, joins: "PrivateRabbitMQ | None" = None, memory: str = "1GB") -> None:
        if not SCRIPTS.is_dir():
            raise FileNotFoundError(f"{SCRIPTS} is missing: install the package rabbitmq-server")
        self.directory = Path(tempfile.mkdtemp(prefix="durian-rabbitmq-"))
        self.port = free_port()
        self.env = self._environment()
        config = CONFIG.format(memory=memory)
        if joins:
            self.env |= {name: joins.env[name] for name in ("HOME", "ERL_EPMD_PORT")}
            config += _members(joins.node, self.node)
        (self.directory / "rabbitmq.conf").write_text(config)
        (self.directory / "advanced.config").write_text(ADVANCED_CONFIG)
        (self.directory / "enabled_plugins").write_text("[].\n")
        log = self.directory / "output.log"
        # The node would start an epmd of its own, as a daemon that outlives it.
        epmd = ["epmd", "-port", self.env["ERL_EPMD_PORT"], "-address", "127.0.0.1"]
        self._epmd: ServerProcess = joins._epmd if joins else ServerProcess(epmd, self.env, log)
        self._node = ServerProcess([str(SCRIPTS / "rabbitmq-server")], self.env, log)

    def _environment(self) -> dict[str, str]:
        # "detached" makes the script become the node instead of staying its parent.
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"durian{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.directory / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # Idle schedulers would spin on the cores that the tests need.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            "detached": "1",
        }

    @property
    def url(self) -> str:
        """The node's address: guest at the virtual host /."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def node(self) -> str:
        """The node's name among Erlang's nodes."""
        return self.env["RABBITMQ_NODENAME"]

    @property
    def pid(self) -> int:
        """The process id of the node."""
        return self._node.pid

    @property
    def epmd_pid(self) -> int:
        """The process id of the node's port mapper."""
        return self._epmd.pid

    @property
    def running(self) -> bool:
        """Whether the node has been started and has not been killed."""
        return self._node.running

    def start(self) -> None:
        """Start the node; return when it takes connections, in 60 s at most."""
        if not self._epmd.running:
            self._epmd.start(ready=lambda: self._epmd.running)
        self._node.start(ready=self._answers)

    def _answers(self) -> bool:
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=2, read_timeout=5):
                return True
        except (OSError, amqp.AMQPError):
            return False

    def kill(self) -> None:
        """End the node with SIGKILL; return when it is gone."""
        self._node.kill()

    def restart(self) -> None:
        """Kill the node if it runs, and start it with the same data on the same port."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End the node and its epmd for good and remove the data."""
        self._node.kill()
        self._epmd.end(signal.SIGTERM)
        shutil.rmtree(self.directory)

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on the node and return what it prints.

        Raises AssertionError with its message when it fails.
        """
        command = [str(SCRIPTS / "rabbitmqctl"), "--quiet", *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def flush(self) -> None:
        """Have the disk hold what has been declared.

        A quorum queue whose node is killed within a second of its declaration is lost otherwise,
        with all that it has confirmed.
        """
        self.ctl("eval", "mnesia:sync_log(), [ok = dets:sync(Table) || Table <- dets:all()].")

    def queues(self, prefix: str = "") -> Sequence[str]:
        """Return the names of the queues that begin with `prefix`."""
        names = self.ctl("list_queues", "--no-table-headers", "name").split()
        return [name for name in names if name.startswith(prefix)]

    def delete_queues(self, prefix: str) -> None:
        """Delete the queues whose names begin with `prefix`."""
        names = self.queues(prefix)
        with amqp.Connection(f"127.0.0.1:{self.port}") as connection:
            channel = connection.channel()
            for name in names:
                channel.queue_delete(name)


def _members(*nodes: str) -> str:
    lines = ["cluster_formation.peer_discovery_backend = classic_config"]
    for number, node in enumerate(nodes, 1):
        lines.append(f"cluster_formation.classic_config.nodes.{number} = {node}")
    return "\n".join(lines) + "\n"
