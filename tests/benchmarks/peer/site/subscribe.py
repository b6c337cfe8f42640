"""Makes a webhook for created orders: `python -m tests.benchmarks.peer.site.subscribe URL`."""

import sys
from typing import Any

import django
from django.apps import apps


def main() -> None:
    """Make it, with a secret."""
    django.setup()
    models: Any = apps.get_app_config("django_webhook").models_module
    hook = models.Webhook.objects.create(url=sys.argv[1])
    topic, _ = models.WebhookTopic.objects.get_or_create(name="site.Order/create")
    hook.topics.add(topic)
    hook.secrets.create(token="only for the benchmarks")


if __name__ == "__main__":
    main()
