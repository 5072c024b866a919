"""What a start may load, and what the agent needs; who imports whom is import-linter's."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_the_agent_imports_the_standard_library_alone() -> None:
    files = sorted((ROOT / "moola_remote" / "agent").glob("*.py"))
    assert len(files) > 20
    imported = {name for file in files for name in _imports(file)}
    assert imported - {"moola_remote"} <= set(sys.stdlib_module_names)


@pytest.mark.process
def test_help_starts_without_the_heavy_packages() -> None:
    code = """
import sys
from moola_remote.cli import main
try:
    main(["--help"])
except SystemExit as end:
    assert end.code == 0
heavy = {"torch", "fabric", "paramiko", "httpx", "numpy", "rich", "pydantic", "asyncssh", "yaml"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.process
def test_a_connection_does_without_invoke_which_a_match_exec_still_finds() -> None:
    code = """
import sys
from moola_remote.ssh.connect import import_paramiko
import_paramiko()
import paramiko
print("invoke" in sys.modules, hasattr(paramiko, "Transport"))
import invoke
print(invoke.__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["False", "True", "invoke"]
