from __future__ import annotations

import json
from typing import Any

import pytest

from tests.audit import UNREACHED, judge

CLEAN = {"name": "click", "version": "8.1", "vulns": []}
HOLE = {"id": "CVE-2030-1", "fix_versions": ["2.1"], "aliases": [], "description": "x"}
SKIPPED = {"name": "torch", "skip_reason": "not found"}


def _report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_known_hole_fails_and_is_named_with_its_fixed_version() -> None:
    code, lines = judge(_report(CLEAN, {"name": "x", "version": "2.0", "vulns": [HOLE]}, SKIPPED))
    assert code == 1
    assert lines[0] == "audit: x 2.0: CVE-2030-1, fixed in 2.1"
    assert lines[1] == "audit: 2 packages asked for, 1 known holes, 1 not listed"


def test_packages_without_a_hole_pass() -> None:
    assert judge(_report(CLEAN, SKIPPED))[0] == 0


@pytest.mark.parametrize("report", ["", "Traceback", "[]", "{}", _report(), _report(SKIPPED)])
def test_a_list_that_is_not_reached_is_reported_and_fails_nothing(report: str) -> None:
    assert judge(report) == (0, [UNREACHED])
