"""`doctor --live`: each assumption about RunPod, tried on a pod of the double."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.test_runpod import double, rented
from tests.support.projects import Project
from tests.support.runpod_double import NO_CAPACITY, Double
from tests.support.servers import SSHD

__all__ = ["double", "rented"]  # fixtures
pytestmark = [
    pytest.mark.process,
    pytest.mark.e2e,
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
]


def test_each_assumption_about_runpod_is_tried_and_nothing_is_left(
    rented: Project, double: Double
) -> None:
    done = rented.run("--json", "doctor", "--live", "--yes")
    tried = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert [row for row in tried.values() if not row["holds"]] == []
    assert done.returncode == 0
    assert list(tried) == assumptions_of_the_docs()
    assert tried["the pod's own key opens its own pod"]["seen"] == "by python and curl"
    assert tried["the pod stops itself, with that key"]["seen"] == "EXITED, $0.00/h"
    assert double.pods == {}
    (wrong,) = double.wrong
    assert "moolaUnknown" in wrong
    double.wrong.clear()


def assumptions_of_the_docs() -> list[str]:
    """The first column of the last table of docs/runpod.md."""
    text = (Path(__file__).parents[2] / "docs" / "runpod.md").read_text(encoding="utf-8")
    table = text[text.index("| assumption |") :].splitlines()[2:]
    return [line.split("|")[1].strip() for line in table if line.startswith("|")]


def test_an_assumption_that_does_not_hold_is_reported_and_nothing_is_left(
    rented: Project, double: Double
) -> None:
    double.document = None  # so that unknown fields are taken
    double.refuse = lambda body: (400, NO_CAPACITY) if "action" in body else None
    done = rented.run("--json", "doctor", "--live", "--yes")
    assert done.returncode == 1
    tried = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    failed = [name for name, row in tried.items() if not row["holds"]]
    assert failed == ["an unknown field is refused with 422", "a stopped pod starts again"]
    assert "no longer any instances" in tried["a stopped pod starts again"]["seen"]
    assert double.pods == {}


def test_a_live_check_asks_first(rented: Project, double: Double) -> None:
    assert "expected --yes" in rented.refused(2, "doctor", "--live")
    assert "POST /v2/pods" not in double.calls
