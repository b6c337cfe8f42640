"""A private cluster of RabbitMQ: three nodes on this machine."""

from concurrent.futures import ThreadPoolExecutor

from tests.servers.rabbitmq import PrivateRabbitMQ

SIZE = 3


class PrivateCluster:
    """Nodes that know each other; each of `nodes` can be killed and started again."""

    def __init__(self) -> None:
        first = PrivateRabbitMQ()
        self.nodes = [first, *(PrivateRabbitMQ(joins=first) for _ in range(SIZE - 1))]

    @property
    def url(self) -> str:
        """The addresses of all nodes, as BROKER_URL takes them."""
        return ";".join(node.url for node in self.nodes)

    def start(self) -> None:
        """Start the nodes; return when all of them take connections and are one cluster.

        Raises AssertionError when they are not.
        """
        first, *others = self.nodes
        first.start()
        with ThreadPoolExecutor(len(others)) as pool:
            list(pool.map(PrivateRabbitMQ.start, others))
        running = first.ctl("eval", "length(rabbit_nodes:all_running()).")
        assert int(running) == len(self.nodes), f"{running.strip()} nodes are in the cluster"

    def flush(self) -> None:
        """Have the disks hold what has been declared; see PrivateRabbitMQ.flush."""
        for node in self.nodes:
            node.flush()

    def stop(self) -> None:
        """End all nodes for good and remove their data."""
        # The first one's folder holds the cookie of all.
        for node in reversed(self.nodes):
            node.stop()
