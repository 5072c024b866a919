"""What `stop`, `down` and `clean` ask: nothing goes that has no verified copy here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.errors import LimitError, UnreachableError

if TYPE_CHECKING:
    from moola_remote.protocol.state import RunState
    from moola_remote.results.unfetched import UnfetchedRun
MAX_LISTED = 20
force_option = click.option(
    "--force", is_flag=True, help="Skip all checks, even if results without a copy here are lost."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def ask(question: str) -> None:
    """Return only if the user answers yes.

    Raises:
        UsageError: there is no terminal.
        Abort: it was no.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} No terminal to answer at, expected --yes")
    click.confirm(question, abort=True, err=True)


def require_verified_copies(app: App, verb: str, states: Sequence[RunState] | None = None) -> None:
    """List what would be lost on stderr, and refuse; nothing happens where nothing would be.

    Args:
        app: the project and its pod.
        verb: what the user asked for.
        states: the runs that it would concern; None are all of the pod.

    Raises:
        LimitError: something would be lost.
        UnreachableError: the pod can't be asked.
    """
    from moola_remote.agent_client.verbs import list_runs

    try:
        states = list_runs(app.pod.agent) if states is None else states
        found = unsaved(app, states)
    except UnreachableError as err:
        unseen = f"{app.pod.command} {verb} --force does it unseen"
        raise UnreachableError(f"{err.message}; so what would be lost isn't known", unseen) from err
    if found:
        _list(found)
        raise _refusal(app, verb, found)


def unsaved(app: App, states: Sequence[RunState]) -> list[UnfetchedRun]:
    """Return the runs with something that has no verified copy here, with progress."""
    from moola_remote.results.unfetched import find_unsaved
    from moola_remote.ui.progress import Progression

    with Progression() as progression:
        progression.step("comparing what is on the pod with what is here")
        return find_unsaved(
            app.pod.transport,
            app.pod.agent,
            states,
            app.project.results_folder,
            cache=app.laptop.hash_cache,
        )


def _list(found: Sequence[UnfetchedRun]) -> None:
    from moola_remote.text.format import amount

    for one in found[-MAX_LISTED:]:
        named = ", ".join(one.paths[:3]) + (", ..." if len(one.paths) > 3 else "")
        words = f"{_named(one)}: {one.why}, {amount(one.bytes)}"
        click.echo(f"would be lost, {words}{': ' if named else ''}{named}", err=True)
    if len(found) > MAX_LISTED:
        click.echo(f"would be lost, {len(found) - MAX_LISTED} older runs", err=True)


def _named(one: UnfetchedRun) -> str:
    return f"{one.run_id} ({one.what})" if one.what else one.run_id


def _refusal(app: App, verb: str, found: Sequence[UnfetchedRun]) -> LimitError:
    from moola_remote.text.format import amount

    size = amount(sum(one.bytes for one in found))
    if len(found) == 1:
        message = f"run {_named(found[0])} has {size} without a verified copy here"
    else:
        message = f"{len(found)} runs have {size} without a verified copy here"
    alive = [one.run_id for one in found if not one.has_ended]
    to_fetch = f"fetch all {found[0].run_id}" if len(found) == 1 else "fetch --unfetched"
    remedy = f"cancel {alive[-1]}" if alive else to_fetch
    cure = f"{app.pod.command} {remedy}, or {verb} --force"
    where = app.project.results_folder  # a pod's runs may be another project's, fetched there
    return LimitError(f"pod {app.pod.name}: {message}, in {where}", cure)
