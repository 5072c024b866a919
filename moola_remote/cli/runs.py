"""``runs``, ``logs``, ``attach``, ``cancel``: what runs on the pod, and what it says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.group import Group
from moola_remote.cli.options import moment, run_argument
from moola_remote.cli.then import then_option
from moola_remote.errors import ConfigError, LimitError

if TYPE_CHECKING:
    from moola_remote.agent_client.verbs import Page
    from moola_remote.protocol.state import RunState
    from moola_remote.runs.filters import Filter, Selection
MAX_AWAY = 4
PAGE = 50


def print_chosen(app: App, chosen: Selection) -> None:
    """Print the runs that were asked for, with the keys that were named."""
    from moola_remote.config.typed import plain
    from moola_remote.runs.filters import shown
    from moola_remote.ui.tables import runs_table
    from moola_remote.ui.tables import show as show_table

    if app.as_json:
        for i, state in enumerate(chosen.states):
            values = {key: column[i] for key, column in chosen.columns.items()}
            app.answer({**plain(state), "values": values})
    elif chosen.states:
        columns = {key: [shown(value) for value in found] for key, found in chosen.columns.items()}
        show_table(runs_table(chosen.states, columns))
    else:
        click.echo("no matching runs", err=True)


def print_runs(app: App, page: Page) -> None:
    """Print a table of runs, or a JSON line a run."""
    from moola_remote.config.typed import plain
    from moola_remote.ui.tables import runs_table
    from moola_remote.ui.tables import show as show_table

    states, num_older = page.states, page.num_older
    if app.as_json:
        for state in states:
            app.answer(plain(state))
    elif states:
        show_table(runs_table(states))
    else:
        click.echo(
            "no runs on this pod yet; next: moola-remote run -- python SCRIPT, or train", err=True
        )
    if num_older:
        more = f"moola-remote runs --last {len(states) + num_older}"
        click.echo(f"{num_older} older runs are not listed: {more}", err=True)


def finish_others(app: App, states: Sequence[RunState]) -> None:
    """Run the local commands that wait for the end of runs that are not listed."""
    from moola_remote.agent_client.verbs import get_state
    from moola_remote.runs.local_state import waiting_for

    listed = {state.run_id for state in states}
    for run_id in waiting_for(app.laptop.journals / app.pod.name):
        if run_id not in listed:
            with contextlib.suppress(ConfigError):  # it is not on the pod any more
                app.finish([get_state(app.pod.agent, run_id)])


def print_away(app: App, states: Sequence[RunState]) -> None:
    """Print a line for each run that changed since this laptop last looked, the newest four."""
    from moola_remote.runs.local_state import notes_of, was_away

    shown = 0
    for state in reversed(states):
        if shown == MAX_AWAY or not was_away(notes_of(app.pod, state.run_id), state):
            continue
        from moola_remote.follow.catch_up import catch_up  # the stream: for who has news alone

        try:
            lines = catch_up(app.pod, state)
        except LimitError as err:  # a disk here that is full or read-only hides no run
            click.echo(f"note: {err}", err=True)
            return
        if lines:
            click.echo(f"{state.run_id}: {'; '.join(lines)}", err=True)
            shown += 1


def _conditions(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[Filter, ...]:
    if not values:
        return ()
    from moola_remote.runs.filters import read_condition

    try:
        return tuple(map(read_condition, values))
    except ValueError as err:
        raise click.BadParameter(str(err), ctx, param) from err


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--last",
    type=click.IntRange(min=0),
    metavar="N",
    help="The newest N, and all that have not ended.  [default: 50; all with --json]",
)
@click.option(
    "--sort", metavar="KEY", help="Sort by a key of the recipe or a score, the largest last."
)
@click.option(
    "--where",
    "conditions",
    metavar="KEY=VALUE",
    multiple=True,
    callback=_conditions,
    help="Only runs for which this holds; also != < <= > >=.",
)
@click.pass_context
def runs(
    ctx: click.Context, last: int | None, sort: str | None, conditions: tuple[Filter, ...]
) -> None:
    """List the pod's runs, newest last; `runs show` prints all about one.

    KEY is a key of the recipe as it was run (model.hidden_size, or hidden_size), a score (f1,
    validation.f1), state, sweep or trial.

    \b
    Example:
      moola-remote runs --where hidden_size=96 --where 'f1>0.6' --sort f1
    """
    if ctx.invoked_subcommand is not None:
        return
    from moola_remote.agent_client.verbs import list_page

    app: App = ctx.obj
    if sort is not None or conditions:
        from moola_remote.runs.filters import choose, read_known

        known = read_known(app.pod.agent.call("list", "--facts"))
        print_chosen(app, choose(known, conditions, sort))
        return
    is_page = last is None and not app.as_json
    page = list_page(app.pod.agent, last=PAGE if is_page else last)
    if not app.as_json:
        print_away(app, page.states)
    print_runs(app, page)
    app.finish(page.states)
    if page.num_older:
        finish_others(app, page.states)


@runs.command()
@run_argument
@click.option("--diff", "with_diff", is_flag=True, help="Print all changes against the commit.")
@click.pass_obj
def show(app: App, run_id: str | None, with_diff: bool) -> None:
    """Print what is recorded about a run: its code, data, environment, machine and configuration.

    Works for fetched runs that are no longer on the pod, too.

    \b
    Example:
      moola-remote runs show 20261122-1530 --diff
    """
    from moola_remote.cli.show import print_diff, print_record
    from moola_remote.runs.record import find_record

    record = find_record(app.pod, run_id, app.find_run)
    if with_diff:
        print_diff(record)
    else:
        print_record(app, record)


@click.command()
@run_argument
@click.option(
    "-f", "--follow", "is_following", is_flag=True, help="Keep printing until the run ends."
)
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option(
    "--since",
    metavar="TIME",
    callback=moment,
    help="Only what was written from then on: 90s, 10m, 2h, 1d ago, or 2026-11-22T15:30.",
)
@click.pass_obj
def logs(
    app: App, run_id: str | None, is_following: bool, tail: int | None, since: float | None
) -> None:
    """Print a run's log, made safe for a screen; the latest run's by default.

    For the bytes as they were written: moola-remote fetch logs.

    \b
    Example:
      moola-remote logs --since 10m -f
    """
    from moola_remote.cli.logs import Part, print_log

    part = Part(tail, since, is_following)
    print_log(app, app.find_run(run_id), part)


@click.command()
@run_argument
@then_option
@click.pass_obj
def attach(app: App, run_id: str | None, then: str | None) -> None:
    """Show a run live, from its beginning; the latest by default. Ctrl-C leaves it running.

    \b
    Example:
      moola-remote attach 20261122-1530
    """
    from moola_remote.cli.watch_run import watch

    watch(app, app.find_run(run_id).run_id, then=then)


@click.command()
@run_argument
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Seconds between SIGTERM and SIGKILL; default: the run's own.",
)
@click.pass_obj
def cancel(app: App, run_id: str | None, grace: float | None) -> None:
    """Cancel a run; confirms that all its processes ended.

    \b
    Example:
      moola-remote cancel
    """
    from moola_remote.agent_client.verbs import cancel as cancel_run
    from moola_remote.runs.local_state import LastSeen, notes_of

    found = app.find_run(run_id)
    if found.has_ended:
        state, num_killed, said = found, 0, "had ended already"
    else:
        done = cancel_run(app.pod.agent, found.run_id, grace_s=grace)
        state, num_killed = done.state, done.num_killed
        said = f"all processes have stopped; processes ended: {num_killed}"
    if app.as_json:
        app.answer({"run_id": state.run_id, "state": state.state, "killed": num_killed})
    else:
        click.echo(f"run {state.run_id}: {state.state}, {said}")
    if not found.has_ended:  # reported first: a full disk here changes nothing of it
        app.finish([state])
        notes_of(app.pod, state.run_id).see(LastSeen(time.time(), state.state))


COMMANDS = [runs, logs, attach, cancel]
