"""Which broker a command can work with."""

from durian import roles
from durian.errors import ConfigurationError


def refuse_embedded(otherwise: str = "") -> None:
    """Raise ConfigurationError for memory://: what is sent there ends with the command.

    `otherwise` is what else may help.
    """
    if roles.is_embedded():
        raise ConfigurationError(
            "DURIAN['BROKER_URL'] is memory://, which no other process sees: "
            f"{otherwise}set it to a RabbitMQ (amqp://…)."
        )
