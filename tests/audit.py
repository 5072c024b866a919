"""Ask pip-audit's public list about every package installed here; a part of ``make check``.

A known hole fails. A list out of reach, as without a network, is reported and fails nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys

LIMIT_S = 180
UNREACHED = "audit: not done, the list of known holes can't be reached from here"


def judge(report: str) -> tuple[int, list[str]]:
    """The exit code and what to say, from pip-audit's JSON."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 0, [UNREACHED]
    asked = [package for package in packages if "vulns" in package]
    if not asked:
        return 0, [UNREACHED]
    holes = [
        f"audit: {package['name']} {package['version']}: {hole['id']}, "
        f"fixed in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for package in asked
        for hole in package["vulns"]
    ]
    unknown = len(packages) - len(asked)
    reported = (
        f"audit: {len(asked)} packages asked for, {len(holes)} known holes, {unknown} not listed"
    )
    return bool(holes), [*holes, reported]


def main() -> int:
    """Returns 1 where a package has a known hole."""
    argv = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off"]
    argv += ["--timeout=5", "--skip-editable"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT_S)
        code, lines = judge(done.stdout)
    except subprocess.TimeoutExpired:
        code, lines = 0, [UNREACHED]
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
