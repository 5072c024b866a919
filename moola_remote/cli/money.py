"""``cost`` and ``reap``: what the rented pods cost, and an end to those past their time."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from moola_remote.errors import ConfigError, LimitError
from moola_remote.session import Session

if TYPE_CHECKING:
    from moola_remote.providers.runpod.provider import RunpodProvider


def _rented(session: Session) -> RunpodProvider:
    """The provider of this pod's file, or of the first file that rents at RunPod.

    Raises:
        ConfigError: no file does.
    """
    from moola_remote.config import load_pod
    from moola_remote.providers.runpod.provider import RunpodProvider

    files = sorted(session.project.pods_folder.glob("*.yaml"))
    for pod in (session.pod, *(load_pod(session.project, file.stem) for file in files)):
        if pod.provider == "runpod":
            return RunpodProvider.of(pod)
    raise ConfigError(
        "configs/pods: no file with provider: runpod, so nothing is rented",
        "copy configs/pods/runpod-4090.yaml",
    )


@click.command()
@click.option("--days", type=click.IntRange(1, 365), default=30, help="Of RunPod's bill; 30.")
@click.pass_obj
def cost(session: Session, days: int) -> None:
    """Print what the rented pods cost: by our meter, by RunPod's bill, and by run.

    The runs are those that this laptop has started, followed, listed or fetched; a pod's price
    also goes on between them.

    \b
    Example:
      moola-remote cost --days 7
    """
    from moola_remote.cli.output import print_costs
    from moola_remote.providers.runpod.account import costs
    from moola_remote.runcosts import run_costs

    provider = _rented(session)
    pods = costs(provider.client, provider.owner, days=days)
    runs = run_costs(session.project.results_folder, session.laptop.journals)
    if session.as_json:
        for pod in pods:
            session.answer(asdict(pod))
        for run in runs:
            session.answer(asdict(run))
    else:
        print_costs(pods, runs, days)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reap(session: Session, yes: bool) -> None:
    """Stop the rented pods that are past the end which their name tells; their volumes stay.

    It looks at every pod of this machine's user, also at those that another project rented.

    \b
    Example:
      moola-remote reap --yes
    """
    from moola_remote.providers.runpod.account import ours, overdue
    from moola_remote.providers.runpod.costs import describe
    from moola_remote.providers.runpod.rent import halt

    provider = _rented(session)
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
        if session.as_json:
            session.answer({"pod": pod.id, "state": "stopped"})
        else:
            click.echo(f"{pod.id}: stopped")
    if not found:
        click.echo("no pod is past its end", err=True)


COMMANDS = [cost, reap]
