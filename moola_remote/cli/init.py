"""``init`` and ``config``: the settings of a project, written and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.group import Group, show_help
from moola_remote.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moola_remote.config.origin import Setting


@click.command()
@click.pass_obj
def init(app: App) -> None:
    """Write a commented [tool.moola-remote] for this project; existing settings stay.

    It goes into pyproject.toml, or into moola-remote.toml where there is none. Which file declares
    the packages and which folders are data is guessed and reported.

    \b
    Example:
      moola-remote init
    """
    from moola_remote.config.starter import write_starter
    from moola_remote.deploy.dependencies import reader_of
    from moola_remote.deploy.guess import guess
    from moola_remote.deploy.undeclared import undeclared

    project = app.project
    if project.file is not None:
        raise ConfigError(
            f"{project.file}: has settings already", "see them with: moola-remote config show"
        )
    found = guess(project)
    path = write_starter(project.folder, found)
    if app.as_json:
        answer = {"file": str(path), "requirements": found.requirements, "data": dict(found.data)}
        app.answer(answer)
        return
    click.echo(str(path))
    click.echo(f"  dependencies: {found.requirements or 'none found'}", err=True)
    if found.requirements is None:
        for note in undeclared(reader_of(project.folder)):
            click.echo(f"  note: {note}", err=True)
    data = ", ".join(f"{name} ({folder})" for name, folder in found.data.items())
    click.echo(f"  data: {data or 'none found'}", err=True)
    click.echo("next: moola-remote config show; then: moola-remote run -- python ...", err=True)


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def config(ctx: click.Context) -> None:
    """Show the settings of this project and of its pod.

    \b
    Example:
      moola-remote config show
    """
    if ctx.invoked_subcommand is None:
        show_help(ctx)


@config.command()
@click.pass_context
def show(ctx: click.Context) -> None:
    """Print each setting, its value, and where that comes from.

    \b
    Example:
      moola-remote --pod host config show
    """
    import json

    from moola_remote.ui.tables import Cell, Columns
    from moola_remote.ui.tables import show as show_table

    app: App = ctx.obj
    settings = list(_settings(app, ctx))
    if app.as_json:
        app.answer({one.key: {"value": one.value, "from": one.origin} for one in settings})
        return
    rows = [[one.key, json.dumps(one.value, ensure_ascii=False), one.origin] for one in settings]
    cells = [[Cell(cell) for cell in row] for row in rows]
    show_table(Columns(["key", "value", "from"], cells, flexible=1, is_folding=True))


def _settings(app: App, ctx: click.Context) -> Iterator[Setting]:
    from moola_remote.config.origin import pod_settings, project_settings
    from moola_remote.deploy.dependencies import find_declaration, reader_of

    project = app.project
    found = find_declaration(reader_of(project.folder))
    yield from project_settings(project, found=None if found is None else str(found))
    source = ctx.find_root().get_parameter_source("pod")
    chosen_by = {
        click.core.ParameterSource.COMMANDLINE: "--pod",
        click.core.ParameterSource.ENVIRONMENT: "MOOLA_POD",
    }
    default = "the project's" if "pod" in project.given else "default"
    named = default if source is None else chosen_by.get(source, default)
    yield from pod_settings(project, app.pod.config, chosen_by=named)


COMMANDS = [init, config]
