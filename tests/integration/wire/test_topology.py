"""durian's topology on a real RabbitMQ."""

import time

import pytest

from durian.errors import TopologyError, Unavailable
from durian.wire import connect
from durian.wire.broker import Broker, Outgoing
from durian.wire.delays import delayed
from durian.wire.messages import DeliveryMessage, decode
from durian.wire.publishing import publish_all
from tests.integration.wire.harness import channel, put, take, wait_for
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.unit.wire.make import delivery


def test_declaring_makes_what_is_missing_and_changes_nothing_that_is_there(
    rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    broker = connect.broker(rabbitmq.url, amqp_prefix)
    assert not any(state.exists for state in broker.states())
    broker.declare(public=False)
    put(broker, broker.topology.deliver, [b"1"])
    broker.declare(public=True)
    states = broker.states()
    assert [state.name for state in states] == [queue.name for queue in broker.topology.queues()]
    assert all(state.exists for state in states)
    assert [state.name for state in states if state.messages] == [broker.topology.deliver]


def test_the_states_count_messages_and_consumers(rabbit: Broker) -> None:
    put(rabbit, rabbit.topology.match, [b"1", b"2", b"3"])
    consumer = rabbit.consumer(rabbit.topology.deliver, 10, lambda incoming: None)
    wait_for(rabbit, rabbit.topology.match, 3)
    states = {state.name: state for state in rabbit.states()}
    assert states[rabbit.topology.match].consumers == 0
    assert states[rabbit.topology.deliver].consumers == 1
    consumer.close()


def test_the_public_exchange_is_there_only_when_asked_for(
    rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    broker = connect.broker(rabbitmq.url, amqp_prefix)
    broker.declare(public=False)
    message = Outgoing(broker.topology.public, "order.paid", b"{}", mandatory=False)
    publisher = broker.publisher()
    with pytest.raises(TopologyError, match=r"no exchange .*public.*durian topology"):
        publish_all(publisher, [message])
    publisher.close()
    broker.declare(public=True)
    publisher = broker.publisher()
    publish_all(publisher, [message])
    publisher.close()


def test_a_queue_with_other_arguments_is_named_with_the_remedy(
    rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    broker = connect.broker(rabbitmq.url, amqp_prefix)
    with channel(rabbitmq) as plain:
        plain.queue_declare(broker.topology.deliver, durable=True, auto_delete=False)
    with pytest.raises(TopologyError, match="Empty it, delete it") as caught:
        broker.declare(public=False)
    assert broker.topology.deliver in str(caught.value)


def test_an_exchange_of_another_type_is_named_with_the_remedy(
    rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    broker = connect.broker(rabbitmq.url, amqp_prefix)
    with channel(rabbitmq) as plain:
        plain.exchange_declare(broker.topology.events, "fanout", durable=True, auto_delete=False)
    with pytest.raises(TopologyError, match="Empty it, delete it") as caught:
        broker.declare(public=False)
    assert broker.topology.events in str(caught.value)
    with channel(rabbitmq) as plain:
        plain.exchange_delete(broker.topology.events)


def test_a_missing_queue_is_named_with_the_remedy(
    rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    broker = connect.broker(rabbitmq.url, amqp_prefix)
    with pytest.raises(TopologyError, match="durian topology") as caught:
        broker.consumer(broker.topology.match, 1, lambda incoming: None)
    assert broker.topology.match in str(caught.value)


def test_two_sites_on_one_broker_do_not_meet(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker, amqp_prefix: str
) -> None:
    other = connect.broker(rabbitmq.url, amqp_prefix)
    other.declare(public=False)
    publisher = other.publisher()
    publish_all(publisher, [Outgoing(other.topology.events, "order.paid", b"theirs")])
    publisher.close()
    assert [incoming.body for incoming in take(other, other.topology.match, 1)] == [b"theirs"]
    assert not any(state.messages for state in rabbit.states())


def test_a_broker_that_is_away_is_told_as_such() -> None:
    with pytest.raises(Unavailable, match="is away"):
        connect.broker("amqp://127.0.0.1:1//", "").states()


@pytest.mark.parametrize("seconds", [0.25, 1.0, 1.5])
def test_a_delayed_delivery_comes_back_in_time(broker: Broker, seconds: float) -> None:
    message = delivery()
    resting = delayed(broker.topology, message, seconds, time.time())
    publisher = broker.publisher()
    began = time.monotonic()
    publish_all(publisher, [resting])
    publisher.close()
    (incoming,) = take(broker, broker.topology.deliver, 1)
    waited = time.monotonic() - began
    step = {1.5: 1.0}.get(seconds, seconds)
    assert step - 0.02 <= waited < step + 1.0
    assert decode(DeliveryMessage, incoming.body).id == message.id
    assert incoming.message_id == message.id
