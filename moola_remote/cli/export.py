"""``export`` and ``index``: fetched runs for other programs, and all of them on one page."""

from __future__ import annotations

from pathlib import Path

import click

from moola_remote.cli.app import App
from moola_remote.cli.browser import open_option, open_page
from moola_remote.cli.complete import fetched_ids


@click.command()
@click.argument("run_ids", metavar="[RUN ...]", nargs=-1, shell_complete=fetched_ids)
@click.option(
    "--to",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a table; FILE ends in .csv or .parquet.",
)
@click.option(
    "--table",
    type=click.Choice(["epochs", "scores", "spans"]),
    default="epochs",
    show_default=True,
    help="What each row is.",
)
@click.option("--tensorboard", is_flag=True, help="Write results/tensorboard, one folder per run.")
@click.pass_obj
def export(
    app: App, run_ids: tuple[str, ...], file: Path | None, table: str, tensorboard: bool
) -> None:
    """Write fetched runs as CSV, as Parquet or for TensorBoard; the latest one by default.

    \b
    Example:
      moola-remote export --to scores.csv --table scores
    """
    if file is None and not tensorboard:
        raise click.UsageError("Nothing to write, expected --to FILE or --tensorboard.")
    from moola_remote.export.tables import TABLES, write_table
    from moola_remote.export.tensorboard import write_tensorboard
    from moola_remote.report.library import load
    from moola_remote.ui.progress import Progression

    folder, runs = app.project.results_folder, []
    with Progression() as progression:
        for name in run_ids or [None]:
            progression.step(f"reading {name or 'the latest run'}")
            runs.append(load(name, folder))
    if not run_ids:
        click.echo(f"latest run: {runs[0].run_id}", err=True)
    for run in runs:
        for note in run.notes:
            click.echo(f"note: {run.run_id}: {note}", err=True)
    written = []
    if file is not None:
        rows = TABLES[table](runs)
        if not rows.num_rows:
            names = ", ".join(run.run_id for run in runs)
            click.echo(f"note: {file} has no row, there are no {table} of {names}", err=True)
        write_table(rows, file)
        written.append(file)
    if tensorboard:
        written += [write_tensorboard(run, folder / "tensorboard") for run in runs]
        click.echo(f"open with: tensorboard --logdir {folder / 'tensorboard'}", err=True)
    if app.as_json:
        app.answer({"runs": [run.run_id for run in runs], "written": list(map(str, written))})
    else:
        click.echo("\n".join(map(str, written)))


@click.command()
@open_option
@click.pass_obj
def index(app: App, is_opening: bool) -> None:
    """Write results/index.html, a table of all fetched runs to sort; `fetch` keeps it current.

    \b
    Example:
      moola-remote index --open
    """
    from moola_remote.report.index_page import write_index
    from moola_remote.results.folder import make_folder
    from moola_remote.ui.progress import Progression

    with Progression() as progression:
        progression.step("writing the list of runs")
        page = write_index(make_folder(app.project.results_folder))
    if app.as_json:
        app.answer({"index": str(page)})
    else:
        click.echo(str(page))
    if is_opening:
        open_page(page)


COMMANDS = [export, index]
