"""The demo's web server: Django's own for development, in a thread, on loopback."""

import threading
from typing import Any

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from durian.errors import ConfigurationError

FIRST_PORT = 8000


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the screen belongs to the deliveries."""


def serve(port: int | None) -> str:
    """Serve the site in a thread and return its address; `port` None takes 8000 or a free one.

    Raises ConfigurationError when `port` is taken.
    """
    server = _bind([FIRST_PORT, 0] if port is None else [port])
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    threading.Thread(target=server.serve_forever, name="demo-web", daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def _bind(ports: list[int]) -> ThreadedWSGIServer:
    *first, last = ports
    for port in first:
        try:
            return ThreadedWSGIServer(("127.0.0.1", port), _QuietHandler)
        except OSError:
            continue
    try:
        return ThreadedWSGIServer(("127.0.0.1", last), _QuietHandler)
    except OSError as error:
        raise ConfigurationError(
            f"Port {last} of 127.0.0.1 cannot be had: {error.strerror}. Name another: --port."
        ) from error
