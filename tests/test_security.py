"""docs/security.md says what holds each threat; here is that it is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "security.md").read_text())
UNPICKLES = """\
import pickle
import torch
def load(path: str) -> object:
    exec(path)
    return torch.load(path), pickle.loads(path), eval(path)
"""


def test_every_threat_has_a_test() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    assert all(re.search(r"`tests/[\w/]+\.py::test_\w+`", row) for row in rows)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_what_holds_a_threat_is_there(path: str, name: str) -> None:
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    assert name in [node.name for node in body if isinstance(node, ast.FunctionDef)]


@pytest.mark.process
@pytest.mark.parametrize("folder", ["moola_core", "moola_remote", "jobs"])
def test_the_linter_bans_what_runs_code_that_was_loaded(folder: str) -> None:
    argv = [sys.executable, "-m", "ruff", "check", "--output-format=concise", "--no-cache"]
    done = subprocess.run(
        [*argv, f"--stdin-filename={folder}/loading.py", "-"],
        cwd=ROOT,
        input=UNPICKLES,
        capture_output=True,
        text=True,
        check=False,
    )
    codes = set(re.findall(r" ((?:S|TID)\d+) ", done.stdout))
    assert {"S102", "S301", "S307", "TID251"} <= codes, done.stdout
