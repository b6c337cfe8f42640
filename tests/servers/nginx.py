"""A private nginx, from the package of the distribution: the fastest receiver at hand."""

import shutil
import signal
import socket
import tempfile
from pathlib import Path

from tests.servers.free import free_port
from tests.servers.process import ServerProcess

CONFIG = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 8192; }}
http {{
    {access_log}
    keepalive_requests 1000000;
    client_body_temp_path {directory};
    proxy_temp_path {directory};
    fastcgi_temp_path {directory};
    uwsgi_temp_path {directory};
    scgi_temp_path {directory};
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        {tls}
        location / {{ return 204; }}
        location /connection {{ return 200 "$server_protocol $connection"; }}
        location /large {{ root {directory}; error_page 405 =200 $uri; }}
    }}
}}
"""
LOG = """\
log_format arrivals '$msec $http_webhook_id';
    access_log {directory}/arrivals.log arrivals buffer=64k flush=50ms;
"""
TLS = """\
listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {pem};
        ssl_certificate_key {pem};
"""


class PrivateNginx:
    """Answers 204 to everything; `/connection` tells the protocol and the connection's number,
    `/large` gives 100 kB.

    With `pem`, a file with a key and a certificate, it speaks HTTP/2 over TLS too. With `logs` it
    writes a line for each request to the file `arrivals`: when, in seconds since the epoch, and its
    `webhook-id`. Raises FileNotFoundError when nginx is not installed.
    """

    def __init__(self, pem: Path | None = None, logs: bool = False) -> None:
        binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if binary is None:
            raise FileNotFoundError("nginx is missing: install the package nginx-light")
        self.port, self.tls_port = free_port(), free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="durian-nginx-"))
        (self._directory / "large").write_bytes(bytes(100_000))
        config = self._directory / "nginx.conf"
        tls = TLS.format(port=self.tls_port, pem=pem) if pem else ""
        log = LOG.format(directory=self._directory) if logs else "access_log off;"
        config.write_text(
            CONFIG.format(directory=self._directory, port=self.port, tls=tls, access_log=log)
        )
        self.arrivals = self._directory / "arrivals.log"
        command = [binary, "-p", str(self._directory), "-c", str(config)]
        self._process = ServerProcess(command, {}, self._directory / "output.log")

    def url(self, path: str = "/") -> str:
        """Return the address of `path`."""
        return f"http://127.0.0.1:{self.port}{path}"

    def tls_url(self, path: str = "/") -> str:
        """Return the address of `path` by HTTPS."""
        return f"https://127.0.0.1:{self.tls_port}{path}"

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def start(self) -> None:
        """Start it; return when it takes connections."""
        self._process.start(ready=self._answers)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: stopped, it takes connections and never answers."""
        self._process.send(number)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it for good."""
        self._process.end(signal.SIGTERM)
        shutil.rmtree(self._directory)
