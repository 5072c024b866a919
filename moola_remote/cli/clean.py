"""``clean``: make room on the pod."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.complete import run_ids
from moola_remote.cli.options import dry_run_option
from moola_remote.cli.safety import ask, force_option, require_verified_copies, yes_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moola_remote.protocol.answers import Cleaned
    from moola_remote.protocol.state import RunState
REMOVE_S = 600.0
# How long code of no run on record stays on this laptop: its run may not have begun.
KEEP_S = 30 * 86400.0


@click.command()
@click.argument("names", metavar="[RUN ...]", nargs=-1, shell_complete=run_ids)
@force_option
@yes_option
@dry_run_option
@click.pass_obj
def clean(app: App, names: tuple[str, ...], force: bool, yes: bool, dry_run: bool) -> None:
    """Remove ended runs from the pod, all or some, and the code and data that only they used.

    Environments too; the newest of each kind is kept. Refused while one of the runs is active, or
    has anything without a verified copy here. On this laptop, code that no run on record was
    started from is removed after 30 days.

    \b
    Example:
      moola-remote clean --dry-run
    """
    from moola_remote.agent_client.verbs import list_runs
    from moola_remote.deploy.code_store import Archive
    from moola_remote.protocol.answers import Cleaned
    from moola_remote.protocol.types import read_answer_as
    from moola_remote.runs.record import codes_on_record
    from moola_remote.runs.select import choose
    from moola_remote.ui.progress import Progression

    states = list_runs(app.pod.agent)
    if names:
        chosen = [choose(states, name) for name in names]
    else:
        chosen = [state for state in states if state.has_ended]
    if not force:
        require_verified_copies(app, "clean", chosen)
    elif not yes and not dry_run:
        ask(f"Remove {len(chosen)} runs from pod {app.pod.name}, fetched or not?")
    asked = {"runs": [state.run_id for state in chosen], "dry_run": dry_run}
    with Progression() as progression:
        progression.step("removing what is not needed")
        answer = app.pod.agent.call("clean", stdin=asked, timeout_s=REMOVE_S)
    cleaned = read_answer_as(Cleaned, answer, "clean")
    needed, before = codes_on_record(app.pod), time.time() - KEEP_S
    freed_here = Archive(app.laptop.snapshots).prune(needed, before, dry_run=dry_run)
    known = {state.run_id: state for state in chosen}
    _print(app, cleaned, known, freed_here, dry_run=dry_run)


def _print(
    app: App,
    cleaned: Cleaned,
    known: Mapping[str, RunState],
    freed_here: int,
    *,
    dry_run: bool,
) -> None:
    from moola_remote.config.typed import plain
    from moola_remote.results.unfetched import what_of
    from moola_remote.text.format import amount

    if app.as_json:
        app.answer({**plain(cleaned), "freed_here": freed_here})
        return
    if freed_here:
        words = "would free" if dry_run else "freed"
        click.echo(f"{words} {amount(freed_here)} of old code on this laptop", err=True)
    for one in cleaned.removed:
        state = known.get(one.name)
        what = f"  {what_of(state)}" if state else ""
        click.echo(f"{one.kind:5} {one.name:40} {amount(one.bytes):>9}{what}")
    total = amount(sum(one.bytes for one in cleaned.removed))
    said = f"would remove {total}" if dry_run else f"removed {total}"
    click.echo(said if cleaned.removed else "nothing to remove", err=True)


COMMANDS = [clean]
