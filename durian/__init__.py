"""durian: webhooks for Django on RabbitMQ."""

__version__ = "1.0.0"
