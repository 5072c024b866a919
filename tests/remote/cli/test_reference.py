"""``--help`` and ``docs/cli.md``: complete, current, and with examples that are commands."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest

from moola_core.config.recipe import load_recipe
from moola_remote.cli.error_handler import run
from moola_remote.cli.main import program
from tests.support.golden import kept
from tests.support.reference import reference, text_of, tree

RECIPES = Path(__file__).parents[3] / "configs" / "train"
DOCS = Path(__file__).parents[3] / "docs"
COMMANDS = {context.command_path: command for context, command in tree()}


def test_the_page_of_all_commands_is_current() -> None:
    text = reference()
    assert text == kept(DOCS / "cli.md", text), "out of date; run: make golden"
    assert text.count("\nExample:\n") == len(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_with_an_example_that_it_understands(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path.split()[1:], "--help"]) == 0
    shown = capsys.readouterr().out
    words, examples = text_of(COMMANDS[path])
    assert words.endswith(".")
    assert examples
    for example in examples:
        assert f"  {example}\n" in shown
        assert _parsed(example).startswith(path)


def test_the_settings_of_the_examples_are_of_the_recipe() -> None:
    found = []
    for command in COMMANDS.values():
        for example in text_of(command)[1]:
            words = shlex.split(example)
            found += [value for name, value in pairwise(words) if name == "--set"]
    assert found
    load_recipe(RECIPES / "jade.yaml", found)


def _parsed(example: str) -> str:
    """The path of the command that an example calls, once click has taken all its words."""
    found = re.search(r'moola-remote ([^")]*)', example)
    assert found, example
    context = program.make_context("moola-remote", shlex.split(found[1]))
    command: click.Command = program
    while isinstance(command, click.Group):
        # click keeps a group's words until it invokes the command: 8.2 renamed where.
        words = [*getattr(context, "_protected_args", ()), *context.args]
        if not words:  # a group that does something by itself
            break
        name, child, rest = command.resolve_command(context, words)
        assert child is not None
        assert name is not None
        context, command = child.make_context(name, rest, parent=context), child
    return context.command_path
