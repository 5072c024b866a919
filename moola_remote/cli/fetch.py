"""``fetch``: bring results home, verified."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from moola_remote.cli.app import App
from moola_remote.cli.browser import open_option, open_page
from moola_remote.cli.complete import completing, pod_of, run_ids
from moola_remote.errors import ConfigError, LimitError, MoolaError, RunLostError, TransferError

if TYPE_CHECKING:
    from moola_remote.protocol.state import RunState
    from moola_remote.results.fetched import Caps, Fetched
    from moola_remote.results.selection import What

    # What the pod names as a run's manifest: its SHA-256 and, if it is new, its text.
    Named = tuple[str, bytes] | None
    Found = tuple[RunState, Named]

MAX_LISTED = 20


KINDS = ["results", "logs", "checkpoints", "all"]
WHAT = click.Argument(["what"], type=click.Choice(KINDS))
# The first word is WHAT, the others are runs; their ids begin with a digit.
any_word = completing(lambda place, ctx: [*KINDS, *place.known(pod_of(ctx))])


@click.command()
@click.argument("words", metavar="WHAT [RUN] ...", nargs=-1, shell_complete=any_word)
@click.option(
    "--run",
    "more",
    metavar="RUN",
    multiple=True,
    shell_complete=run_ids,
    help="A run; may be repeated. WHAT may then be left out: results.",
)
@click.option(
    "--unfetched",
    "is_unfetched",
    is_flag=True,
    help="Each ended run of the pod that has no verified copy here; WHAT may be left out: all.",
)
@click.option(
    "--watch",
    "is_watching",
    is_flag=True,
    help="Fetch each checkpoint as soon as it is complete, then WHAT when the run has ended.",
)
@click.option("--max-files", type=click.IntRange(1), help="Limit of files; default: 100000.")
@click.option("--max-gb", type=click.FloatRange(0), help="Limit in GB; default: 50.")
@open_option
@click.pass_context
def fetch(
    ctx: click.Context,
    words: tuple[str, ...],
    more: tuple[str, ...],
    is_unfetched: bool,
    is_watching: bool,
    max_files: int | None,
    max_gb: float | None,
    is_opening: bool,
) -> None:
    """Fetch runs' files into results/RUN, verified against the pod's manifest.

    WHAT is results, logs, checkpoints or all. RUN is a run's id or its beginning, or several;
    the latest by default. An interrupted fetch continues where it stopped, and by itself where it
    was the connection. Files that can't be fetched are listed (exit code 15); the next fetch tries
    them again. Fetching results also writes report.html, a page that shows them.

    \b
    Example:
      moola-remote fetch results
      moola-remote fetch --run 20261122-1530 20261122-1612
    """
    from moola_remote.cli.watch import watch
    from moola_remote.results.folder import make_folder
    from moola_remote.rsync.version import known_holes, local_version

    app: App = ctx.obj
    what, names = _asked(ctx, words, more, is_unfetched=is_unfetched)
    if is_watching and (is_unfetched or len(names) > 1):
        raise click.UsageError("--watch follows one run: name one, and no --unfetched")
    folder = make_folder(app.project.results_folder)
    if is_unfetched:
        runs: list[Found] = [(state, None) for state in _unfetched(app)]
    elif names:
        runs = [_find(app, name, folder) for name in names]
    else:
        runs = [(app.find_run(None), None)]
    holes = known_holes(local_version())
    if holes:
        click.echo(f"note: {holes}", err=True)
    caps = _caps(max_files, max_gb)
    failed: list[MoolaError] = []
    for run, named in runs:
        try:
            if is_watching and not run.has_ended:
                watch(app, run.run_id, folder)
            _fetch(app, run, named, what, folder, caps=caps, is_opening=is_opening)
        except (TransferError, RunLostError, LimitError) as err:  # noqa: PERF203 - a fetch each
            if len(runs) == 1:
                raise
            click.echo(f"not fetched, {err}", err=True)
            failed.append(err)
    if failed:
        raise type(failed[0])(
            f"{len(failed)} of {len(runs)} runs were not fetched, the first: {failed[0].message}",
            failed[0].cure,
        )


def _asked(
    ctx: click.Context, words: tuple[str, ...], more: tuple[str, ...], *, is_unfetched: bool
) -> tuple[What, list[str]]:
    """Return what of which runs, named; none named is the latest."""
    first, *rest = words or ("",)
    if first in KINDS:
        what, names = first, rest
    elif more or is_unfetched:
        what, names = "all" if is_unfetched else "results", list(words)
    elif not words:
        raise click.MissingParameter(ctx=ctx, param=WHAT)
    else:
        WHAT.type.convert(first, WHAT, ctx)  # raises
        raise AssertionError(first)
    names = list(dict.fromkeys([*more, *names]))
    if names and is_unfetched:
        raise click.UsageError("--unfetched takes every run that is not here: name none")
    return cast("What", what), names


def _unfetched(app: App) -> list[RunState]:
    """Return the ended runs of the pod that have something without a verified copy here."""
    from moola_remote.agent_client.verbs import list_runs
    from moola_remote.cli.safety import unsaved

    states = [state for state in list_runs(app.pod.agent) if state.has_ended]
    names = {one.run_id for one in unsaved(app, states)}
    if not names:
        click.echo("nothing to fetch: each ended run has a verified copy here", err=True)
    return [state for state in states if state.run_id in names]


def _find(app: App, name: str, folder: Path) -> Found:
    """Return a run; of one that was fetched before its manifest too, in one round trip."""
    from moola_remote.agent_client.verbs import get_state_and_manifest
    from moola_remote.results.manifest_file import digest_here
    from moola_remote.runs.select import FULL_ID

    here = digest_here(folder / name) if FULL_ID.fullmatch(name) else None
    if here is None:
        return app.find_run(name), None
    state, named = get_state_and_manifest(app.pod.agent, name, here)
    app.finish([state])
    return state, named


def _fetch(
    app: App, run: RunState, named: Named, what: What, folder: Path, *, caps: Caps, is_opening: bool
) -> None:
    """Bring one run home, and open its page if asked."""
    from moola_remote.results.fetch import fetch_run
    from moola_remote.ui.progress import Progression

    def fetch_once() -> Fetched:
        _ = app.pod.transport  # it may ask: before anything is drawn
        with Progression() as progression:
            return fetch_run(
                app.pod.transport,
                app.pod.agent,
                run.run_id,
                folder,
                what=what,
                caps=caps,
                progress=partial(progression.update, what),
                known=run if run.has_ended else None,
                named=named,
                cache=app.laptop.journal(app.pod.name, run.run_id) / "hashes.json",
            )

    fetched = app.persist(fetch_once)
    page = print_fetched(app, fetched, has_page=what != "checkpoints")
    if is_opening and page:
        open_page(page)
    require_whole(fetched)


COMMANDS = [fetch]


def _caps(max_files: int | None, max_gb: float | None) -> Caps:
    from moola_remote.results.fetched import DEFAULT_CAPS, Caps

    max_bytes = DEFAULT_CAPS.max_bytes if max_gb is None else int(max_gb * 1e9)
    return Caps(max_files or DEFAULT_CAPS.max_files, max_bytes)


def require_whole(fetched: Fetched) -> None:
    """List on stderr what did not come.

    Raises:
        TransferError: something is.
    """
    for one in fetched.empty[:MAX_LISTED]:
        click.echo(f"{one.path}: {one.why}, nothing to fetch", err=True)
    for one in fetched.missing[:MAX_LISTED]:
        click.echo(f"not fetched, {one.path}: {one.why}", err=True)
    if len(fetched.missing) > MAX_LISTED:
        click.echo(f"not fetched, {len(fetched.missing) - MAX_LISTED} more", err=True)
    if fetched.missing:
        raise TransferError(
            f"run {fetched.run_id}: {len(fetched.missing)} of its files are not here",
            "fix what is listed above, then fetch again; what came is verified and stays",
        )


def print_fetched(app: App, fetched: Fetched, *, has_page: bool = True) -> Path | None:
    """Print where the files are; make the page that shows them, and return it."""
    from moola_remote.text.format import amount

    page = _page(fetched) if has_page else None
    if app.as_json:
        answer: dict[str, object] = {"run_id": fetched.run_id, "folder": str(fetched.folder)}
        answer |= {"files": fetched.files, "bytes": fetched.bytes}
        answer |= {"already_there": fetched.already_there, "report": str(page) if page else None}
        answer |= {"missing": [one._asdict() for one in fetched.missing]}
        answer |= {"empty": [one._asdict() for one in fetched.empty]}
        answer |= {"left": [file.shown for file in fetched.left]}
        app.answer(answer)
        return page
    came = f"{fetched.files} files, {amount(fetched.bytes)}" if fetched.files else "nothing new"
    click.echo(f"verified: {came}, {fetched.already_there} already here", err=True)
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


def _page(fetched: Fetched) -> Path | None:
    """Write the run's page and the list of all; the fetch is complete without: print a fault."""
    from moola_remote.report.index_rows import PAGE, is_listed

    folder = fetched.folder
    if not fetched.files and is_listed(folder, since_ns=fetched.changed_ns):
        return folder / PAGE
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
