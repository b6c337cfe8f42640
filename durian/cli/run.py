"""`durian publisher`, `matcher`, `deliverer` and `all`: run roles until SIGTERM or Ctrl-C."""

import gc
import logging
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from durian import conf, roles
from durian.cli.brokers import refuse_embedded
from durian.lasting import lasting
from durian.onecpu import OneCPU
from durian.stopping import set_by_signals

logger = logging.getLogger("durian")

YOUNG = 50_000
"""Objects after which a collection looks at them: what is under way comes and goes in thousands, is
no garbage then, and is freed without a collection."""

HELP = {
    "publisher": "publish what is in the outboxes (a site's own relay does so by default)",
    "matcher": "turn events into deliveries, and sweep the outboxes",
    "deliverer": "POST deliveries",
    "all": "run all three roles in this process",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the roles."""
    parser.epilog = (
        "Runs until SIGTERM or Ctrl-C; then takes no more work, finishes what is in flight within "
        "DURIAN['SHUTDOWN_SECONDS'], returns the rest to the broker and exits with 0."
    )


def run(options: dict[str, Any]) -> int:
    """Run the role that is asked for. Returns 0, or 1 when a role ended by itself."""
    _log_to_stderr(options.get("verbosity", 1))
    names = list(roles.ROLES) if options["subcommand"] == "all" else [options["subcommand"]]
    if len(names) == 1:
        refuse_embedded("run `durian all`, or ")
    elif roles.is_embedded():
        logger.warning(roles.EMBEDDED_WARNING)
    # What was imported stays as well: a collection of all of it would stop the POSTs for 50 ms.
    with lasting():
        running = [roles.ROLES[name]() for name in names]
    gc.set_threshold(YOUNG)
    return run_until_stopped(running)


def run_until_stopped(running: Sequence[roles.Role]) -> int:
    """Run `running` in threads until a signal. Returns 0, or 1 when one of them ended by itself."""
    stopping = set_by_signals()
    threads = [roles.start_thread(role.run, f"durian-{role.name}") for role in running]
    logger.info("Running: %s.", ", ".join(role.name for role in running))
    cpu = OneCPU()
    while not stopping.wait(0.5) and all(thread.is_alive() for thread in threads):
        cpu.look()
    cpu.let_go()
    crashed = not stopping.is_set()
    within = float(conf.config().shutdown_seconds)
    logger.info("Stopping; what is in flight may take %g s.", within)
    for role in running:
        role.stop(within)
    for thread in threads:
        thread.join(within + 5.0)
    logger.info("Stopped.")
    return int(crashed)


def _log_to_stderr(verbosity: int) -> None:
    durian = logging.getLogger("durian")
    if verbosity and not durian.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        durian.addHandler(handler)
    durian.setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)
