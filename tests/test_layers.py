"""What a start may load, and what the agent needs; who imports whom is import-linter's."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield all statements below a node: a class is one, and no expression holds any."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from _statements(child)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_the_agent_imports_the_standard_library_alone() -> None:
    files = sorted((ROOT / "moola_remote" / "agent").glob("*.py"))
    assert len(files) > 20
    imported = {name for file in files for name in _imports(file)}
    assert imported - {"moola_remote"} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("package", ["moola_remote", "moola_core", "jobs"])
def test_no_module_is_above_300_lines_and_no_class_above_200(package: str) -> None:
    too_long = []
    for path in sorted((ROOT / package).rglob("*.py")):
        num_lines = path.read_text(encoding="utf-8").count("\n")
        if num_lines > 300:
            too_long.append(f"{path.relative_to(ROOT)}: {num_lines} lines")
        if num_lines < 200:  # no room for such a class
            continue
        for node in _statements(_parsed(path)):
            if isinstance(node, ast.ClassDef) and node.end_lineno:
                lines = node.end_lineno - node.lineno + 1
                if lines > 200:
                    too_long.append(f"{path.relative_to(ROOT)}: {node.name}, {lines} lines")
    assert too_long == []


@pytest.mark.process
def test_help_starts_without_heavy_packages_and_with_little_beyond_clicks_own() -> None:
    code = """
import sys
import click
try:
    click.command("hello")(lambda: None)(["--help"])
except SystemExit:
    pass
before = set(sys.modules)
from moola_remote.cli import main
try:
    main(["--help"])
except SystemExit as end:
    assert end.code == 0
heavy = {"torch", "fabric", "paramiko", "httpx", "numpy", "rich", "msgspec", "asyncssh", "yaml"}
slow = {"asyncio", "dataclasses", "json", "logging", "shutil", "socket", "subprocess", "tempfile"}
print(sorted((heavy & set(sys.modules)) | (slow & (set(sys.modules) - before))))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.process
def test_no_command_imports_the_jobs_library_for_validation() -> None:
    code = """
import importlib, pkgutil, sys
import moola_remote
for module in pkgutil.walk_packages(moola_remote.__path__, "moola_remote."):
    if not module.name.startswith(("moola_remote.agent.", "moola_remote.__main__")):
        importlib.import_module(module.name)
print("msgspec" in sys.modules, "moola_remote.sweep.plan" in sys.modules)
print(sorted({"pydantic", "pydantic_core", "moola_core", "jobs"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines() == ["True True", "[]"]


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


@pytest.mark.process
def test_renting_does_without_the_command_line_of_httpx() -> None:
    code = """
import sys
import moola_remote.providers.runpod.client
print("pygments" in sys.modules, sys.modules["httpx._main"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["False", "None"]
