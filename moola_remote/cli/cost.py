"""``cost`` and ``reap``: what the rented pods cost, and an end to those past their time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.errors import ConfigError, LimitError

if TYPE_CHECKING:
    from moola_remote.providers.runpod.account import PodCost
    from moola_remote.providers.runpod.provider import RunpodProvider
    from moola_remote.runs.costs import RunCost
    from moola_remote.ui.tables import Cell


def _rented(app: App) -> RunpodProvider:
    """Return the provider of this pod's file, or of the first file that rents at RunPod.

    Raises:
        ConfigError: no file does.
    """
    from moola_remote.config.settings import load_pod
    from moola_remote.providers.runpod.template import ADD

    files = sorted(app.project.pods_folder.glob("*.yaml"))
    for pod in (app.pod.config, *(load_pod(app.project, file.stem) for file in files)):
        if pod.provider == "runpod":
            from moola_remote.providers.runpod.provider import RunpodProvider

            return RunpodProvider.of(pod)
    raise ConfigError("configs/pods: no file with provider: runpod, so nothing is rented", ADD)


@click.command()
@click.option(
    "--days",
    type=click.IntRange(1, 365),
    default=30,
    help="Days of RunPod's bill; default: 30.",
)
@click.pass_obj
def cost(app: App, days: int) -> None:
    """Print what the rented pods cost: by our meter, by RunPod's bill, and by run.

    The runs are those that this laptop has started, followed, listed or fetched; a pod
    is billed between them, too.

    \b
    Example:
      moola-remote cost --days 7
    """
    from dataclasses import asdict

    from moola_remote.providers.runpod.account import costs
    from moola_remote.runs.costs import run_costs

    provider = _rented(app)
    pods = costs(provider.client, provider.owner, days=days)
    runs = run_costs(app.project.results_folder, app.laptop.journals)
    if app.as_json:
        for pod in pods:
            app.answer(asdict(pod))
        for run in runs:
            app.answer(asdict(run))
    else:
        print_costs(pods, runs, days)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reap(app: App, yes: bool) -> None:
    """Stop the rented pods that are past the deadline in their name; their volumes stay.

    It checks every pod of this machine's user, also those of other projects.

    \b
    Example:
      moola-remote reap --yes
    """
    from moola_remote.providers.runpod.account import ours, overdue
    from moola_remote.providers.runpod.metering import describe
    from moola_remote.providers.runpod.rent import halt

    provider = _rented(app)
    pods, now = ours(provider.client.pods(), provider.owner), provider.client.now()
    found = overdue(pods, now)
    for pod in found:
        click.echo(f"past its end: {pod.name}, {describe(pod, now)}", err=True)
    if found and not yes:
        if not sys.stdin.isatty():
            raise LimitError(
                f"reap: {len(found)} pods are past their end", "moola-remote reap --yes"
            )
        click.confirm(f"Stop {len(found)} pods?", abort=True, err=True)
    for pod in found:
        halt(provider.client, pod.id)
        if app.as_json:
            app.answer({"pod": pod.id, "state": "stopped"})
        else:
            click.echo(f"{pod.id}: stopped")
    if not found:
        click.echo("no pod is past its end", err=True)


COMMANDS = [cost, reap]


def print_costs(pods: Sequence[PodCost], runs: Sequence[RunCost], days: int) -> None:
    """Print a table of pods, one of runs, and the sums."""
    from moola_remote.text.format import duration
    from moola_remote.ui.tables import Columns, show

    heads = ["pod", "state", "now, $/h", "up", "metered, $", f"billed in {days} days, $"]
    cells = [
        [
            *(pod.name or pod.pod_id, pod.state.lower(), f"{pod.per_hour:.3f}"),
            *(duration(pod.uptime_s), f"{pod.metered:.2f}"),
            "-" if pod.billed is None else f"{pod.billed:.2f}",
        ]
        for pod in pods
    ]
    now, metered = sum(pod.per_hour for pod in pods), sum(pod.metered for pod in pods)
    billed = sum(pod.billed or 0.0 for pod in pods)
    cells.append(["all", "", f"{now:.3f}", "", f"{metered:.2f}", f"{billed:.2f}"])
    show(Columns(heads, _texts(cells), right=frozenset({2, 3, 4, 5}), flexible=0))
    if runs:
        lines = [_run_cost(run) for run in runs]
        known = sum(run.usd or 0.0 for run in runs)
        is_all = all(run.is_over for run in runs)
        lines.append(["all", "", f"{known:.3f}", "" if is_all else "at least"])
        heads = ["run", "time", "$", "what is not known"]
        show(Columns(heads, _texts(lines), right=frozenset({1, 2}), flexible=0))


def _run_cost(run: RunCost) -> list[str]:
    from moola_remote.text.format import duration

    if run.seconds is None or run.usd is None:
        return [run.run_id, "-", "-", "not seen at work from here"]
    rest = "" if run.is_over else "so far: its end was not seen from here"
    return [run.run_id, duration(run.seconds), f"{run.usd:.3f}", rest]


def _texts(rows: Sequence[Sequence[str]]) -> list[list[Cell]]:
    from moola_remote.ui.tables import Cell

    return [[Cell(cell) for cell in row] for row in rows]
