"""``docs/cli.md``: every command as click knows it, in the manner of a manual page."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

import click

from moola_remote.cli.main import program

HEAD = """\
# moola-remote, command by command

Made from the program itself by `make golden`; the words are those of `--help`. Options of
`moola-remote` stand before the command: `moola-remote --pod NAME COMMAND`.
"""


def tree(
    command: click.Command = program, parent: click.Context | None = None
) -> Iterator[tuple[click.Context, click.Command]]:
    """Every command with its context, groups before what is in them, by name."""
    name = "moola-remote" if parent is None else command.name
    context = click.Context(command, parent, info_name=name)
    yield context, command
    if isinstance(command, click.Group):
        for _, child in sorted(command.commands.items()):
            yield from tree(child, context)


def text_of(command: click.Command) -> tuple[str, list[str]]:
    """A command's description, and the lines of its example."""
    words, _, example = cleandoc(command.help or "").partition("\n\b\nExample:\n")
    return words.strip(), [line.strip() for line in example.splitlines() if line.strip()]


def _section(context: click.Context, command: click.Command) -> str:
    words, example = text_of(command)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## {context.command_path}", f"    {usage}", words.replace("\b\n", "")]
    shown = (one for one in command.params if isinstance(one, click.Option))
    records = (option.get_help_record(context) for option in shown)
    options = [f"- `{name}`: {said}" for name, said in filter(None, records)]
    parts += ["\n".join(options), "\n".join(["Example:", "", *(f"    {one}" for one in example)])]
    return "\n\n".join(part for part in parts if part)


def reference() -> str:
    """The whole page."""
    sections = [_section(context, command) for context, command in tree()]
    return HEAD + "\n" + "\n\n".join(sections) + "\n"
