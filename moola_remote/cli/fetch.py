"""``fetch``: bring results home, verified."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.browser import open_option, open_page
from moola_remote.cli.options import run_argument
from moola_remote.errors import ConfigError, TransferError

if TYPE_CHECKING:
    from moola_remote.results.fetch import Fetched, What
    from moola_remote.results.verify import Caps

MAX_LISTED = 20


@click.command()
@click.argument("what", type=click.Choice(["results", "logs", "checkpoints", "all"]))
@run_argument
@click.option(
    "--watch",
    "is_watching",
    is_flag=True,
    help="Bring each checkpoint when it is complete, then WHAT when the run has ended.",
)
@click.option("--max-files", type=click.IntRange(1), help="Accept so many files; default 100000.")
@click.option("--max-gb", type=click.FloatRange(0), help="Accept so many gigabytes; default 50.")
@open_option
@click.pass_obj
def fetch(
    app: App,
    what: What,
    run_id: str | None,
    is_watching: bool,
    max_files: int | None,
    max_gb: float | None,
    is_opening: bool,
) -> None:
    """Fetch a run's files into results/RUN, verified against the pod's manifest.

    RUN is a run's id or the beginning of one; the latest by default. An interrupted fetch
    continues where it stopped. What can't be fetched is listed (exit code 15), and comes with
    the next fetch once it can. With the results comes report.html, a page to look at them.

    \b
    Example:
      moola-remote fetch results
    """
    from moola_remote.cli.watch import watch
    from moola_remote.results.fetch import fetch_run
    from moola_remote.results.folder import make_folder
    from moola_remote.rsync.process import local_version
    from moola_remote.rsync.version import known_holes
    from moola_remote.ui.progress import Progression

    folder = make_folder(app.project.results_folder)
    chosen = app.find_run(run_id)
    holes = known_holes(local_version())
    if holes:
        click.echo(f"note: {holes}", err=True)
    if is_watching and not chosen.has_ended:
        watch(app, chosen.run_id, folder)
    with Progression() as progression:
        fetched = fetch_run(
            app.pod.transport,
            app.pod.agent,
            chosen.run_id,
            folder,
            what=what,
            caps=_caps(max_files, max_gb),
            progress=partial(progression.update, what),
        )
    page = print_fetched(app, fetched, has_page=what != "checkpoints")
    if is_opening and page:
        open_page(page)
    require_whole(fetched)


COMMANDS = [fetch]


def _caps(max_files: int | None, max_gb: float | None) -> Caps:
    from moola_remote.results.verify import DEFAULT_CAPS, Caps

    max_bytes = DEFAULT_CAPS.max_bytes if max_gb is None else int(max_gb * 1e9)
    return Caps(max_files or DEFAULT_CAPS.max_files, max_bytes)


def require_whole(fetched: Fetched) -> None:
    """List what is missing on stderr.

    Raises:
        TransferError: something is.
    """
    for one in fetched.missing[:MAX_LISTED]:
        click.echo(f"not fetched, {one.path}: {one.why}", err=True)
    if len(fetched.missing) > MAX_LISTED:
        click.echo(f"not fetched, {len(fetched.missing) - MAX_LISTED} more", err=True)
    if fetched.missing:
        raise TransferError(
            f"run {fetched.run_id}: {len(fetched.missing)} of its files are not here",
            "fetch it again once that is mended; what came is verified and stays",
        )


def print_fetched(app: App, fetched: Fetched, *, has_page: bool = True) -> Path | None:
    """Where the files are, and the page that shows them, which is made now, and returned."""
    from moola_remote.text.format import amount

    page = _page(fetched.folder) if has_page else None
    if app.as_json:
        told: dict[str, object] = {"run_id": fetched.run_id, "folder": str(fetched.folder)}
        told |= {"files": fetched.files, "bytes": fetched.bytes}
        told |= {"already_there": fetched.already_there, "report": str(page) if page else None}
        told |= {"missing": [asdict(one) for one in fetched.missing]}
        told |= {"left": [file.shown for file in fetched.left]}
        app.answer(told)
        return page
    came = f"{fetched.files} files, {amount(fetched.bytes)}" if fetched.files else "nothing new"
    click.echo(f"verified: {came}, {fetched.already_there} there already", err=True)
    for file in fetched.left:
        click.echo(
            f"left on the pod, {file.shown}: {amount(file.size)}; fetch all brings it", err=True
        )
    click.echo(str(fetched.folder))
    if page:
        click.echo(str(page))
    for picture in sorted(fetched.folder.glob("artifacts/*.png")):
        click.echo(str(picture))
    return page


def _page(folder: Path) -> Path | None:
    """The run's page, in the list of all, too; what came is complete without: a fault is told."""
    from moola_remote.report.index_page import write_index
    from moola_remote.report.run_page import write_report
    from moola_remote.ui.progress import Progression

    page = wrong = None
    with Progression() as progression:
        try:
            progression.step("writing the run's page")
            page = write_report(folder)
            progression.step("writing the list of runs")
            write_index(folder.parent)
        except ConfigError as err:
            wrong = err
    if wrong is not None:
        click.echo(f"note: no {'list' if page else 'report'}, {wrong}", err=True)
    return page
