"""What the site and all roles share: PostgreSQL."""

import psycopg

from tests.chaos.faults.registry import fault
from tests.chaos.world import World, pause


@fault("postgres-killed", site_suffers=True)
def postgres_killed(world: World) -> None:
    """SIGKILL PostgreSQL with all its sessions, and start it again."""
    with world.striking():
        world.postgresql.kill()
        pause(2)
        world.postgresql.start()


@fault("postgres-connections-cut", site_suffers=True)
def postgres_cut(world: World) -> None:
    """pg_terminate_backend on every session of the site, three times."""
    for _ in range(3):
        with (
            world.striking(),
            psycopg.connect(world.postgresql.url, autocommit=True) as connection,
        ):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [world.name],
            )
        pause(1)
