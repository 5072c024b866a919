"""What a user reads of bad data says where, what was expected, and what to do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = [
    *sorted((ROOT / "moola_core" / "data").glob("*.py")),
    *(ROOT / "jobs" / f"{name}.py" for name in ("bars", "windows", "review")),
    *(ROOT / "jobs" / "common" / f"{name}.py" for name in ("bar_options", "data", "paths")),
]
# Parts that are words of their own: what was expected, or a cure, made elsewhere.
MADE = {"fault": "expected ", "cure": "; ", "faults[0]": "expected ", "Fault": "expected "}


def messages() -> list[tuple[str, str]]:
    """Where each error is raised, and its words."""
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            name = ast.unparse(node.exc.func)
            if name in ("DataError", "ConfigError") and node.exc.args:
                found.append((f"{path.relative_to(ROOT)}:{node.lineno}", words(node.exc.args[0])))
    return found


def words(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(words(part) for part in node.values)
    source = ast.unparse(node.value if isinstance(node, ast.FormattedValue) else node)
    return next((text for name, text in MADE.items() if source.startswith(name)), "<value>")


MESSAGES = messages()


def test_there_are_messages_to_look_at() -> None:
    assert len(MESSAGES) > 80


@pytest.mark.parametrize(("where", "text"), MESSAGES)
def test_a_message_says_what_was_expected_and_what_to_do(where: str, text: str) -> None:
    assert "expected" in text or text.count("no such") == 1, f"{where}: {text}"
    assert ";" in text or ": --" in text or "?" in text, f"{where}: no cure in {text}"
    assert "\n" not in text
    assert not text.endswith("."), where
