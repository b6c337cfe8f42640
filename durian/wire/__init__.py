"""All that knows RabbitMQ: messages, topology, links to the broker, the pump, dead letters."""
