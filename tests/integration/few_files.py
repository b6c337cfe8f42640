"""Makes 100 exchanges at once with each receiver in turn, in a process that may open few files.

`python -m tests.integration.few_files URL …` prints what was answered.
"""

import resource
import sys
from functools import partial
from queue import SimpleQueue

from requests import Response

from deliverer.engine import Took
from deliverer.http import Result
from tests.integration.conformance import LOOPBACK, post, running

AT_ONCE, FILES = 100, 256


def main() -> None:
    """Call the receivers, and keep the connections to all of them as far as there is room."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    with running(LOOPBACK) as engine:
        for url in sys.argv[1:]:
            results: SimpleQueue[Result] = SimpleQueue()
            for _ in range(AT_ONCE):
                engine.submit(post(url), 20, partial(_keep, results))
            for _ in range(AT_ONCE):
                result = results.get(timeout=20)
                print(result.status_code if isinstance(result, Response) else result)


def _keep(results: SimpleQueue[Result], result: Result, took: Took) -> None:
    results.put(result)


if __name__ == "__main__":
    main()
