"""``report`` and ``compare``: look at fetched runs, one or several side by side."""

from __future__ import annotations

from pathlib import Path

import click

from moola_remote.cli.browser import open_option, open_page
from moola_remote.cli.names import fetched_ids
from moola_remote.session import Session

_file = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=fetched_ids)
@click.option("--out", type=_file, metavar="FILE", help="Write here, not to results/RUN.")
@open_option
@click.pass_obj
def report(session: Session, run_id: str | None, out: Path | None, is_opening: bool) -> None:
    """Write a fetched run's page: scores, curves, windows and facts in one HTML file.

    RUN is a run's id or the beginning of one; the latest fetched one by default. The page needs
    no network and nothing else: send it to a colleague.

    \b
    Example:
      moola-remote report 20261122-1530 --out run.html
    """
    from moola_remote.cli.output import Progression
    from moola_remote.report.run_page import write_report
    from moola_remote.results import choose_folder
    from moola_remote.screen import safe

    folder = choose_folder(session.project.results_folder, run_id)
    with Progression() as progression:
        progression.step(f"writing the page of {safe(folder.name)}")
        page = write_report(folder, out)
    if session.as_json:
        session.answer({"run_id": folder.name, "report": str(page)})
    else:
        click.echo(str(page))
    if is_opening:
        open_page(page)


@click.command()
@click.argument("run_ids", metavar="[RUN ...]", nargs=-1, shell_complete=fetched_ids)
@click.option("--html", "out", type=_file, metavar="FILE", help="Write a page too, to look at.")
@open_option
@click.pass_obj
def compare(session: Session, run_ids: tuple[str, ...], out: Path | None, is_opening: bool) -> None:
    """Put fetched runs side by side; the latest two by default.

    What differs in config, code, data and machine; the scores, and each run's lead over the first
    one on the windows that both were judged on, with the interval of a paired bootstrap; how they
    learnt; and the windows that flipped.

    \b
    Example:
      moola-remote compare 20261122-1530 20261122-1541 --html compare.html
    """
    if is_opening and out is None:
        raise click.UsageError("Nothing to show, expected --html FILE with --open.")
    from moola_remote.cli.output import Progression, print_comparison
    from moola_remote.report.compare_page import write_comparison
    from moola_remote.report.comparison import compare_runs
    from moola_remote.report.files import read_run
    from moola_remote.results import choose
    from moola_remote.screen import safe

    runs = []
    with Progression() as progression:
        for folder in choose(session.project.results_folder, run_ids):
            progression.step(f"reading {safe(folder.name)}")
            runs.append(read_run(folder))
        progression.step(f"comparing {len(runs)} runs")
        compared = compare_runs(runs)
        if out is not None:
            progression.step(f"writing {safe(str(out))}")
            write_comparison(compared, out)
    print_comparison(session, compared)
    if out is not None:
        click.echo(str(out), err=True)
        if is_opening:
            open_page(out)


COMMANDS = [report, compare]
