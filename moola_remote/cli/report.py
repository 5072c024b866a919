"""``report`` and ``compare``: look at fetched runs, one or several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.browser import open_option, open_page
from moola_remote.cli.complete import fetched_ids

if TYPE_CHECKING:
    from moola_remote.report.comparison import Comparison


def print_comparison(app: App, compared: Comparison) -> None:
    """Print runs beside each other."""
    from moola_remote.ui.comparison import ComparisonText, as_json
    from moola_remote.ui.tables import show

    if app.as_json:
        for fields in as_json(compared):
            app.answer(dict(fields))
        return
    show(ComparisonText(compared))


_file = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=fetched_ids)
@click.option("--out", type=_file, metavar="FILE", help="Write here, not to results/RUN.")
@open_option
@click.pass_obj
def report(app: App, run_id: str | None, out: Path | None, is_opening: bool) -> None:
    """Write a fetched run's page: scores, curves, windows and facts in one HTML file.

    RUN is a run's id or the beginning of one; the latest fetched one by default. The page needs
    no network and nothing else: send it to a colleague.

    \b
    Example:
      moola-remote report 20261122-1530 --out run.html
    """
    from moola_remote.report.library import choose_folder
    from moola_remote.report.run_page import write_report
    from moola_remote.text.sanitize import safe
    from moola_remote.ui.progress import Progression

    folder = choose_folder(app.project.results_folder, run_id)
    with Progression() as progression:
        progression.step(f"writing the page of {safe(folder.name)}")
        page = write_report(folder, out)
    if app.as_json:
        app.answer({"run_id": folder.name, "report": str(page)})
    else:
        click.echo(str(page))
    if is_opening:
        open_page(page)


@click.command()
@click.argument("run_ids", metavar="[RUN ...]", nargs=-1, shell_complete=fetched_ids)
@click.option("--html", "out", type=_file, metavar="FILE", help="Write a web page as well.")
@open_option
@click.pass_obj
def compare(app: App, run_ids: tuple[str, ...], out: Path | None, is_opening: bool) -> None:
    """Put fetched runs side by side; the latest two by default.

    What differs in config, code, data and machine; the scores, and each run's lead over the first
    one on the windows that both were judged on, with the interval of a paired bootstrap; the
    learning curves; and the windows that only one of them got right.

    \b
    Example:
      moola-remote compare 20261122-1530 20261122-1541 --html compare.html
    """
    if is_opening and out is None:
        raise click.UsageError("Nothing to show, expected --html FILE with --open.")
    from moola_remote.report.compare_page import write_comparison
    from moola_remote.report.comparison import compare_runs
    from moola_remote.report.library import choose
    from moola_remote.report.run_files import read_run
    from moola_remote.text.sanitize import safe
    from moola_remote.ui.progress import Progression

    runs = []
    with Progression() as progression:
        for folder in choose(app.project.results_folder, run_ids):
            progression.step(f"reading {safe(folder.name)}")
            runs.append(read_run(folder))
        progression.step(f"comparing {len(runs)} runs")
        compared = compare_runs(runs)
        if out is not None:
            progression.step(f"writing {safe(str(out))}")
            write_comparison(compared, out)
    print_comparison(app, compared)
    if out is not None:
        click.echo(str(out), err=True)
        if is_opening:
            open_page(out)


COMMANDS = [report, compare]
