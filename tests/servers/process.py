"""A server process that is ended by its id, when Python ends at the latest."""

import atexit
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from tests.servers.free import wait_until


class ServerProcess:
    """A command that can be started, killed and started again; its output goes to `log`.

    `user` names the account that it runs as, by default that of the tests; `cwd` the folder that
    it runs in, likewise.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        user: str | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = command
        self.env = env
        self.log = log
        self.user = user
        self.cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        atexit.register(self._end_with_python)

    @property
    def pid(self) -> int:
        """The id of the process. Raises AssertionError when it has not been started."""
        assert self._popen is not None, f"{self.command[0]} has not been started"
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit code of the process, None while it runs."""
        return self._popen.poll() if self._popen else None

    def start(self, ready: Callable[[], object], timeout: float = 60) -> None:
        """Start the process and return once `ready()` is true.

        Raises AssertionError with the end of the log when it ends instead, or when `timeout`
        seconds are over.
        """
        self._popen = self._spawn()
        try:
            wait_until(lambda: not self.running or ready(), timeout, f"{self.command[0]} is ready")
            assert self.running, f"{self.command[0]} ended with code {self._popen.returncode}"
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.log_tail()}") from error

    def _spawn(self) -> "subprocess.Popen[bytes]":
        account = pwd.getpwnam(self.user) if self.user else None
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=account and account.pw_uid,
                group=account and account.pw_gid,
                extra_groups=[] if account else None,
                # Ctrl-C ends the tests, and they end the server.
                start_new_session=True,
            )

    def kill(self) -> None:
        """End the process and its descendants with SIGKILL; return when all are gone."""
        if self._popen is None:
            return
        family = self.family()
        for process in family:
            _kill(process)
        self._popen.wait()
        wait_until(lambda: all(map(_gone, family)), 10, f"{self.command[0]} is gone")

    def family(self) -> list[psutil.Process]:
        """Return the process and its descendants, as far as they are there."""
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def send(self, number: signal.Signals) -> None:
        """Send the process and its descendants a signal."""
        for process in self.family():
            process.send_signal(number)

    def end(self, number: signal.Signals, timeout: float = 10) -> None:
        """Ask the process to end by a signal; kill it after `timeout` seconds."""
        if self._popen is not None and self.running:
            self._popen.send_signal(number)
            try:
                self._popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()

    def wait(self, timeout: float) -> None:
        """Return when the process has ended by itself. Raises TimedOut after so many seconds."""
        wait_until(lambda: not self.running, timeout, f"{self.command[0]} ends")

    def log_tail(self, lines: int = 40) -> str:
        """Return the last lines that the process wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _end_with_python(self) -> None:
        # A child that a test forked ends with its parent's exit handlers, too.
        if os.getpid() == self._owner:
            self.kill()


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _gone(process: psutil.Process) -> bool:
    # Without an init that collects them, orphans stay as zombies.
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
