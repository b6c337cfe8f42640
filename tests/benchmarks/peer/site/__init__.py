"""The shop with the peer's webhooks; its settings come from the environment."""

from tests.benchmarks.peer.site.celery import app

__all__ = ["app"]
