"""A private PostgreSQL, from the package of the distribution."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.servers.free import free_port
from tests.servers.process import ServerProcess

PACKAGES = Path("/usr/lib/postgresql")
USER = "durian"


class PrivatePostgreSQL:
    """A PostgreSQL with its own data, on a free port of 127.0.0.1, without passwords.

    `durable` has commits wait for the disk, as they do outside of tests. Raises FileNotFoundError
    when PostgreSQL is not installed.
    """

    def __init__(self, durable: bool = False) -> None:
        self.binaries = _binaries()
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="durian-postgresql-"))
        self.data = self.directory / "data"
        self.user = _account()
        self.env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        if self.user:
            shutil.chown(self.directory, self.user)
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on" if durable else "off",
            "max_connections": 200,
        }
        command = [str(self.binaries / "postgres"), "-D", str(self.data)]
        command += [f"--{name}={value}" for name, value in options.items()]
        self._server = ServerProcess(
            command, self.env, self.directory / "output.log", user=self.user
        )

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._server.pid

    @property
    def url(self) -> str:
        """The address of the database that is always there."""
        return self.url_of("postgres")

    @property
    def settings(self) -> dict[str, Any]:
        """An entry of Django's DATABASES for the database that is always there."""
        return self.settings_of("postgres")

    def url_of(self, name: str) -> str:
        """Return the address of the database `name`."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def settings_of(self, name: str) -> dict[str, Any]:
        """Return an entry of Django's DATABASES for the database `name`."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": self.port,
            "USER": USER,
            "NAME": name,
        }

    def start(self) -> None:
        """Start the server, with new data the first time; return when it takes connections."""
        if not self.data.exists():
            self._make_data()
        self._server.start(ready=self._answers)

    def _make_data(self) -> None:
        account = pwd.getpwnam(self.user) if self.user else None
        command = [str(self.binaries / "initdb"), "--no-sync", "--auth=trust", "--encoding=UTF8"]
        command += [f"--username={USER}", f"--pgdata={self.data}"]
        subprocess.run(
            command,
            env=self.env,
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            extra_groups=[] if account else None,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def create_database(self, name: str) -> dict[str, Any]:
        """Create the database `name` and return its entry of Django's DATABASES."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.settings_of(name)

    def kill(self) -> None:
        """End the server and its sessions with SIGKILL; return when they are gone."""
        self._server.kill()

    def restart(self) -> None:
        """Kill the server if it runs, and start it with the same data on the same port."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End the server for good and remove the data."""
        # By SIGQUIT it ends at once, yet gives its shared memory back.
        self._server.end(signal.SIGQUIT)
        shutil.rmtree(self.directory)


def _binaries() -> Path:
    found = sorted(PACKAGES.glob("*/bin"), key=lambda path: float(path.parent.name))
    if not found:
        raise FileNotFoundError(f"{PACKAGES}/*/bin is missing: install the package postgresql")
    return found[-1]


def _account() -> str | None:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return None
    names = {account.pw_name for account in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
