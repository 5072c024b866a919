"""``deploy``: everything that a job needs is on the pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.options import data_option, dry_run_option

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Deployed, Plan
    from moola_remote.deploy.snapshot import Tree
    from moola_remote.ui.tables import Mark, Row


@click.command()
@data_option
@dry_run_option
@click.pass_obj
def deploy(app: App, data: dict[str, Path], dry_run: bool) -> None:
    """Send code and data, make the environment, and report what is on the pod.

    Only what the pod does not have is sent. Code is git's own list of files; secrets and
    results stay here. Where the connection is lost, it continues by itself.

    \b
    Example:
      moola-remote deploy
    """
    plan = make_plan(app, data, is_all=app.is_verbose or dry_run)
    if dry_run:
        print_plan(app, plan)
    else:
        print_components(app, show_deploy(app, plan))


COMMANDS = [deploy]


def make_plan(
    app: App,
    data: Mapping[str, Path],
    *,
    is_all: bool,
    reads: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """Look at the laptop, and name what does not travel.

    Args:
        app: the project and its pod.
        data: what is sent instead of the project's.
        is_all: name what is ordinary too.
        reads: the data files of each key of the recipe; None where that is not known.

    Raises:
        ConfigError: data or the list of requirements is missing, or a file can't be read.
        LimitError: the code is too large.
    """
    from moola_remote.config.recipe import data_sets
    from moola_remote.deploy.deploy import make_plan as make_plan_of
    from moola_remote.deploy.selection import ORDINARY
    from moola_remote.text.format import amount
    from moola_remote.ui.progress import Progression

    with Progression() as progression:
        progression.step("reading code and data")
        plan = make_plan_of(app.pod, data, data_sets(reads))
    for tree in (plan.code, plan.data):
        for leaving in tree.left_out if tree else ():
            if is_all or leaving.rule not in ORDINARY:
                size = f" ({amount(leaving.size)})" if leaving.size else ""
                click.echo(f"not sent, {leaving}{size}", err=True)
    if plan.missed and not is_all:  # all that git ignores is listed above
        click.echo(f"not sent, {plan.missed}", err=True)
    report_absent(plan)
    for note in plan.dependencies.notes:
        click.echo(f"note: {note}", err=True)
    return plan


def report_absent(plan: Plan) -> None:
    """Name the data sets that are not here."""
    if plan.absent:
        names = ", ".join(plan.absent)
        click.echo(f"not sent, data of pyproject.toml that is not here: {names}", err=True)


def show_deploy(app: App, plan: Plan) -> Deployed:
    """Deploy, and show how it goes; a connection that is lost meanwhile is made again."""
    from moola_remote.deploy.deploy import deploy as deploy_plan
    from moola_remote.ui.progress import Progression

    def deploy_once() -> Deployed:
        _ = app.pod.transport  # it may ask whether a host key is right: before anything is drawn
        with Progression() as progression:
            return deploy_plan(app.pod, plan, progression)

    _ = app.pod.transport  # who is not reached at all is reported at once
    return app.persist(deploy_once)


def print_components(app: App, deployed: Deployed) -> None:
    """Print the table that a deploy ends with."""
    from moola_remote.text.format import amount
    from moola_remote.ui.tables import component_table, show

    rows = component_rows(app, deployed)
    if app.as_json:
        app.answer({row.name: {"mark": row.mark, "details": row.details} for row in rows})
        return
    show(component_table(rows))
    total = sum(deployed.sent.values())
    if total or deployed.environment.created:
        click.echo(f"sent {amount(total)}")
    else:
        click.echo("nothing to send: code, data and environment are already on the pod")


def component_rows(app: App, deployed: Deployed) -> list[Row]:
    """Return what is on the pod, a row a component."""
    from moola_remote.rsync.version import known_holes, local_version
    from moola_remote.text.format import amount
    from moola_remote.ui.tables import Row

    endpoint, facts, environment = app.pod.endpoint, deployed.facts, deployed.environment
    torch = environment.torch
    cuda = (
        f"{torch.version}, CUDA {torch.cuda or 'none'}" if torch else "none: torch is not installed"
    )
    disk = amount(facts.disk_free or 0)
    # To ask this machine's costs a process, for one that had nothing to do.
    here = known_holes(local_version()) if any(deployed.sent.values()) else None
    return [
        Row("ok", "SSH connection", f"{endpoint.user}@{endpoint.host}:{endpoint.port}"),
        Row("ok" if deployed.gpu else "none", "GPU", deployed.gpu or "none: CPU"),
        Row("ok", "Python", f"{environment.python}, {facts.cpus} CPUs, {disk} of disk free"),
        Row("ok" if torch else "none", "torch, CUDA", cuda),
        Row(_mark(deployed.sent["code"]), "code", _code_words(deployed.plan.code)),
        _data_row(deployed),
        Row(
            "ok" if environment.created else "same",
            "dependencies",
            _dependency_words(deployed),
        ),
        *(
            Row("warn", f"rsync {where}", hole)
            for where, hole in (("here", here), ("on the pod", known_holes(facts.rsync or "")))
            if hole
        ),
    ]


def _dependency_words(deployed: Deployed) -> str:
    source = deployed.plan.dependencies.source
    num_packages, digest = len(deployed.environment.packages), deployed.trees["environment"]
    return f"{num_packages} packages, {f'{source}, ' if source else ''}{digest}"


def _mark(sent: int) -> Mark:
    return "ok" if sent else "same"


def _code_words(tree: Tree) -> str:
    from moola_remote.text.format import amount

    source = tree.source
    commit = (source.commit or "no commit")[:8] if source else "not in git"
    dirty = ", dirty" if source and source.dirty else ""
    return f"{len(tree.files)} files, {amount(tree.size)}, {commit}{dirty}, {tree.digest}"


def _data_row(deployed: Deployed) -> Row:
    from moola_remote.deploy.parquet import contents_of
    from moola_remote.text.format import amount
    from moola_remote.ui.tables import Row

    tree = deployed.plan.data
    if tree is None:
        return Row("none", "data", "none is configured")
    names = ", ".join(part.name for part in tree.parts)
    contents = contents_of(tree)
    mark = "warn" if contents.unreadable else _mark(deployed.sent["data"])
    words = [f"{names}: {contents}" if str(contents) else names]
    words += [f"{len(tree.files)} files", amount(tree.size), tree.digest]
    return Row(mark, "data", ", ".join(words))


def print_plan(app: App, plan: Plan, argv: Sequence[str] = ()) -> None:
    """Print what would be sent and started."""
    from moola_remote.text.format import amount

    trees = {"code": plan.code, "data": plan.data}
    sizes = {kind: tree for kind, tree in trees.items() if tree is not None}
    if app.as_json:
        answer = {
            kind: {"files": len(tree.files), "bytes": tree.size, "digest": tree.digest}
            for kind, tree in sizes.items()
        }
        app.answer({**answer, "argv": list(argv)})
        return
    for kind, tree in sizes.items():
        # A tree without files is one that is replayed, and is on the pod.
        size = f"{len(tree.files)} files, {amount(tree.size)}" if tree.files else "on the pod"
        click.echo(f"{kind}: {size}, {tree.digest}")
    if argv:
        import shlex

        click.echo(f"command: {shlex.join(argv)}")
