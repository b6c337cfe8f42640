"""Asks PyPI for known vulnerabilities of what is installed: `python -m tests.audit`.

Exits with 1 when there is one, and with 2 when not all could be asked about: pip-audit alone would
call a machine without a way to PyPI's advisories free of faults. `--lenient` says so too, and then
exits with 0: what a test run does where the service cannot be reached.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

OWN = "durian"
COMMAND = [
    sys.executable,
    *("-m", "pip_audit", "--local", "--format", "json"),
    *("--progress-spinner", "off", "--timeout", "10"),
]


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lenient", action="store_true", help="only say what cannot be asked")
    lenient = parser.parse_args().lenient
    done = subprocess.run(COMMAND, capture_output=True, text=True)
    packages = read(done.stdout)
    for line in known(packages):
        print(f"VULNERABLE: {line}")
    missing = [one["name"] for one in packages if "skip_reason" in one]
    if known(packages):
        return 1
    if packages and not missing:
        print(f"Audited: {len(packages)} packages, no known vulnerability.")
        return 0
    why = f"nothing is known of {len(missing)} packages" if missing else last_line(done.stderr)
    print(f"NOT AUDITED: PyPI's advisories cannot be reached from here ({why}).")
    return 0 if lenient else 2


def read(output: str) -> list[dict[str, Any]]:
    """Return the packages that pip-audit speaks of, without durian itself."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except ValueError:
        return []
    return [one for one in packages if one["name"] != OWN]


def known(packages: list[dict[str, Any]]) -> list[str]:
    """Return a line for each vulnerability."""
    return [
        f"{one['name']} {one['version']}: {fault['id']}, mended in {fault['fix_versions']}"
        for one in packages
        for fault in one.get("vulns", ())
    ]


def last_line(text: str) -> str:
    """Return the last line of what a program complained of."""
    return (text.strip().splitlines() or ["it said nothing"])[-1][:200]


if __name__ == "__main__":
    sys.exit(main())
