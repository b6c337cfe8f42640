"""How much memory a process takes for answers that are too large; a program, for a test.

    python -m tests.integration.appetite TIMES URL...

It calls each URL so many times at once, and prints as JSON the kilobytes by which its peak grew and
how many exchanges ended.
"""

import json
import resource
import sys
from queue import SimpleQueue

from deliverer.http import Result
from tests.integration.conformance import LOOPBACK, post, running, through

DEADLINE = 3.0


def _main() -> None:
    times, urls = int(sys.argv[1]), sys.argv[2:]
    ended: SimpleQueue[Result] = SimpleQueue()
    with running(LOOPBACK) as engine:
        # What libcurl and its threads take once is not the answers'.
        through(engine)(post(urls[0]), DEADLINE)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for url in urls * times:
            engine.submit(post(url), DEADLINE, lambda result, took: ended.put(result))
        count = sum(1 for _ in urls * times if ended.get(timeout=30))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    json.dump({"grown": after - before, "ended": count}, sys.stdout)


if __name__ == "__main__":
    _main()
