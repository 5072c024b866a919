"""What ``resume`` does."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from moola_remote.session import Session

if TYPE_CHECKING:
    from moola_remote.cli.follow import Asked


def go_on(session: Session, name: str | None, asked: Asked, *, detach: bool) -> None:
    """Have what a run stood on on the pod, and go on with it as a new run.

    Args:
        session: the project and the pod to go on.
        name: a run's id or its beginning; None is the latest.
        asked: what is asked otherwise than of that run.
        detach: print the id and return.

    Raises:
        MoolaError: it can't be gone on with, or did not succeed.
    """
    from moola_remote.cli.follow import check, launch, limits_of
    from moola_remote.cli.output import Progression, show_deploy
    from moola_remote.resume import Sources, find_parent, make_spec, require_secrets

    check(asked, detach=detach)
    if session.provider.is_paid:
        session.bring_up()
    with find_parent(session, name) as parent:
        require_secrets(parent, asked.secrets)
        click.echo(f"going on with run {parent.run_id}, by the code it was begun with", err=True)
        with Progression() as progression:
            sources = Sources(session, parent, asked.data, progression)
            plan = sources.plan()
        deployed = show_deploy(session, plan)
        for tree in filter(None, (plan.code, plan.data)):
            shutil.rmtree(session.laptop.relay(tree.digest), ignore_errors=True)
        with Progression() as progression:
            checkpoints = replace(sources, watcher=progression).send_checkpoints()
    spec = make_spec(session, parent, deployed, checkpoints)
    limits = {key: limit for key, limit in limits_of(session, asked).items() if limit is not None}
    spec["gpu"] = spec.get("gpu") if asked.gpu is None else asked.gpu
    spec["limits"] = {**(spec.get("limits") or {}), **limits}
    launch(session, spec, asked, detach=detach, gpu=deployed.gpu)
