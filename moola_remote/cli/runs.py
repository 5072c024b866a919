"""``runs``, ``logs``, ``attach``, ``cancel``: what runs on the pod, and what it says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from moola_remote.cli.afterwards import then_option
from moola_remote.cli.options import moment, run_argument
from moola_remote.session import Session

if TYPE_CHECKING:
    from moola_remote.choosing import Condition


def _conditions(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[Condition, ...]:
    if not values:
        return ()
    from moola_remote.choosing import read_condition

    try:
        return tuple(map(read_condition, values))
    except ValueError as err:
        raise click.BadParameter(str(err), ctx, param) from err


@click.group(invoke_without_command=True)
@click.option("--sort", metavar="KEY", help="The largest last: a key of the recipe, or a score.")
@click.option(
    "--where",
    "conditions",
    metavar="KEY=VALUE",
    multiple=True,
    callback=_conditions,
    help="Only runs of which this is true; also != < <= > >=.",
)
@click.pass_context
def runs(ctx: click.Context, sort: str | None, conditions: tuple[Condition, ...]) -> None:
    """List the pod's runs, newest last; `runs show` tells all about one.

    A KEY is one of the recipe as it was run (model.hidden_size, or hidden_size), a score (f1,
    validation.f1), or state.

    \b
    Example:
      moola-remote runs --where hidden_size=96 --where 'f1>0.6' --sort f1
    """
    if ctx.invoked_subcommand is not None:
        return
    from moola_remote.cli.output import print_chosen, print_runs, tell_away
    from moola_remote.runs import list_runs

    session: Session = ctx.obj
    if sort is not None or conditions:
        from moola_remote.choosing import choose, read_known

        known = read_known(session.agent.call("list", "--facts"))
        print_chosen(session, choose(known, conditions, sort))
        return
    states = list_runs(session.agent)
    if not session.as_json:
        tell_away(session, states)
    print_runs(session, states)
    session.finish(states)


@runs.command()
@run_argument
@click.option("--diff", "with_diff", is_flag=True, help="Print all changes against the commit.")
@click.pass_obj
def show(session: Session, run_id: str | None, with_diff: bool) -> None:
    """Print what is on record of a run: its code, data, environment, machine and configuration.

    Also of a run that was fetched and is not on the pod any more.

    \b
    Example:
      moola-remote runs show 20261122-1530 --diff
    """
    from moola_remote.cli.show import print_diff, print_record
    from moola_remote.record import find_record

    record = find_record(session, run_id)
    if with_diff:
        print_diff(record)
    else:
        print_record(session, record)


@click.command()
@run_argument
@click.option("-f", "--follow", "is_following", is_flag=True, help="Go on until the run ends.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option(
    "--since",
    metavar="TIME",
    callback=moment,
    help="Only what was written from then on: 90s, 10m, 2h, 1d ago, or 2026-11-22T15:30.",
)
@click.pass_obj
def logs(
    session: Session, run_id: str | None, is_following: bool, tail: int | None, since: float | None
) -> None:
    """Print a run's log, made safe for a screen; the latest run's by default.

    The bytes as they were written: moola-remote fetch logs.

    \b
    Example:
      moola-remote logs --since 10m -f
    """
    from moola_remote.cli.logs import Part, print_log

    part = Part(tail, since, is_following)
    print_log(session, session.find_run(run_id), part)


@click.command()
@run_argument
@then_option
@click.pass_obj
def attach(session: Session, run_id: str | None, then: str | None) -> None:
    """Show a run live, from its beginning; the latest by default. Ctrl-C leaves it running.

    \b
    Example:
      moola-remote attach 20261122-1530
    """
    from moola_remote.cli.follow import watch

    watch(session, session.find_run(run_id).run_id, then=then)


@click.command()
@run_argument
@click.option(
    "--grace", type=click.FloatRange(min=0), metavar="SECONDS", help="Between TERM and KILL."
)
@click.pass_obj
def cancel(session: Session, run_id: str | None, grace: float | None) -> None:
    """End a run and all its processes, and say what was verified.

    \b
    Example:
      moola-remote cancel
    """
    from moola_remote.notes import Seen
    from moola_remote.runs import cancel as cancel_run

    found = session.find_run(run_id)
    if found.has_ended:
        state, num_killed, said = found, 0, "had ended already"
    else:
        done = cancel_run(session.agent, found.run_id, grace_s=grace)
        state, num_killed = done.state, done.num_killed
        session.finish([state])
        session.notes(state.run_id).see(Seen(time.time(), state.state))
        said = f"nothing of it lives, processes ended: {num_killed}"
    if session.as_json:
        session.answer({"run_id": state.run_id, "state": state.state, "killed": num_killed})
    else:
        click.echo(f"run {state.run_id}: {state.state}, {said}")


COMMANDS = [runs, logs, attach, cancel]
