import pytest

from durian.errors import ConfigurationError, Unavailable
from durian.wire import connect
from durian.wire.link import Link
from durian.wire.memory import MemoryBroker
from durian.wire.rabbitmq import RabbitMQ


@pytest.mark.parametrize(
    "url",
    ["amqp://a//", "amqps://u:p@a/b", "pyamqp://", "amqp://a//;amqp://b//", "amqp://[::1]:5672//"],
)
def test_amqp_is_rabbitmq_and_nothing_is_connected_yet(url: str) -> None:
    broker = connect.broker(url, "shop.")
    assert isinstance(broker, RabbitMQ)
    assert broker.topology.match.startswith("shop.")


def test_memory_is_the_same_for_all_of_a_process() -> None:
    assert isinstance(connect.broker("memory://", "x."), MemoryBroker)
    assert connect.broker("memory://", "x.") is connect.broker("memory://", "x.")
    assert connect.broker("memory://", "x.") is not connect.broker("memory://", "y.")


@pytest.mark.parametrize("url", ["redis://u:hunter2@h", "hunter2-only", "", "http://h"])
def test_another_scheme_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="durian works with amqp://"):
        connect.broker(url, "")


@pytest.mark.parametrize(
    "url",
    ["amqp://u:hunter2/x@h//", "amqp://u:hunter2#x@h//", "amqp://h//;amqp://u:hunter2/x@h//"],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="percent-encoded") as caught:
        connect.broker(url, "")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("rest", [";", ";h", ";u:hunter2@h", ";hunter2@h//", ";http://hunter2"])
def test_every_node_has_a_url(rest: str) -> None:
    with pytest.raises(ConfigurationError, match="a semicolon without amqp://") as caught:
        connect.broker(f"amqp://u:hunter2@a//{rest}", "")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["my..host", ".host", f"{'x' * 64}.host"])
def test_a_host_that_can_have_no_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"names the host '{host}'") as caught:
        connect.broker(f"amqp://a//;amqp://u:hunter2@{host}/v", "")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["my..host", "my%00host"])
def test_a_host_that_can_have_no_address_is_away(host: str) -> None:
    with pytest.raises(Unavailable, match="is away: ") as caught:
        Link([f"amqp://u:hunter2@{host}/v"])
    assert "hunter2" not in str(caught.value)
