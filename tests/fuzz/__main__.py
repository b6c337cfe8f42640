"""`python -m tests.fuzz TARGET --seconds N`: fuzzes one target; without one, says which there are.

What is found is written to the present folder, as libFuzzer does, and the exit code is not 0.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["durian", "amqp"]):
    from tests.fuzz.targets import SEEDS, TARGETS


def main() -> None:
    """Fuzz; atheris ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    corpus = Path(tempfile.mkdtemp(prefix="durian-fuzz-"))
    for number, seed in enumerate(SEEDS[options.target]):
        (corpus / str(number)).write_bytes(seed)
    limits = [f"-max_total_time={options.seconds}", "-timeout=30", "-rss_limit_mb=2048"]
    atheris.Setup(
        [sys.argv[0], str(corpus), "-print_final_stats=1", *limits], TARGETS[options.target]
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
