"""What commands print: the answer on stdout, talk on stderr; JSON where it was asked for."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from moola_remote.deploy import Deployed, Plan, deploy
from moola_remote.listing import LeftOut
from moola_remote.session import Session
from moola_remote.tables import Mark, Row, component_table, runs_table, scoreboard, show

if TYPE_CHECKING:
    from moola_remote.events import Result
    from moola_remote.fetch import Fetched
    from moola_remote.runs import RunState
    from moola_remote.snapshot import Tree


class Transfers:
    """Progress bars on stderr, one a transfer; a context manager. None without a terminal."""

    def __init__(self, *, is_quiet: bool) -> None:
        console = Console(stderr=True)
        columns = (
            *(TextColumn("{task.description:>8}"), BarColumn(), DownloadColumn()),
            *(TransferSpeedColumn(), TimeRemainingColumn()),
        )
        self._bars = Progress(
            *columns, console=console, transient=True, disable=is_quiet or not console.is_terminal
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Transfers:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def update(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes of the transfer `name` have gone."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name)
        self._bars.update(self._tasks[name], completed=done, total=total)


def show_deploy(session: Session, plan: Plan) -> Deployed:
    """Deploy with progress bars."""
    tell_left_out(plan.code.left_out)
    with Transfers(is_quiet=session.as_json) as transfers:
        return deploy(session, plan, progress=transfers.update, say=_say)


def _say(line: str) -> None:
    click.echo(f"pod: {line}", err=True)


def tell_left_out(left_out: Iterable[LeftOut]) -> None:
    """Name on stderr what does not travel."""
    for leaving in left_out:
        click.echo(f"not sent, {leaving}", err=True)


def megabytes(size: float) -> str:
    """Bytes in words: ``3.1 MB``."""
    return f"{size / 1e6:,.1f} MB"


def print_components(session: Session, deployed: Deployed) -> None:
    """The table that a deploy ends with."""
    rows = component_rows(session, deployed)
    if session.as_json:
        session.answer({row.name: {"mark": row.mark, "details": row.details} for row in rows})
        return
    show(component_table(rows))
    total = sum(deployed.sent.values())
    if total or deployed.environment["created"]:
        click.echo(f"sent {megabytes(total)}")
    else:
        click.echo("nothing to send: code, data and environment were there already")


def component_rows(session: Session, deployed: Deployed) -> list[Row]:
    """What is on the pod, a row a component."""
    endpoint, facts, environment = session.endpoint, deployed.facts, deployed.environment
    torch, packages = environment["torch"], environment["packages"]
    cuda = f"{torch['version']}, CUDA {torch['cuda'] or 'none'}" if torch else "torch is missing"
    disk = megabytes(facts["disk_free"] or 0)
    return [
        Row("ok", "SSH connection", f"{endpoint.user}@{endpoint.host}:{endpoint.port}"),
        Row("ok" if deployed.gpu else "none", "GPU", deployed.gpu or "none: CPU"),
        Row("ok", "Python", f"{environment['python']}, {facts['cpus']} CPUs, {disk} of disk free"),
        Row("ok" if torch else "bad", "torch, CUDA", cuda),
        Row(_mark(deployed.sent["code"]), "code", _code_words(deployed.plan.code)),
        _data_row(deployed),
        Row(
            "ok" if environment["created"] else "same",
            "dependencies",
            f"{len(packages)} packages, {deployed.trees['environment']}",
        ),
    ]


def _mark(sent: int) -> Mark:
    return "ok" if sent else "same"


def _code_words(tree: Tree) -> str:
    source = tree.source
    commit = (source.commit or "no commit")[:8] if source else "not in git"
    dirty = ", dirty" if source and source.dirty else ""
    return f"{len(tree.files)} files, {megabytes(tree.size)}, {commit}{dirty}, {tree.digest}"


def _data_row(deployed: Deployed) -> Row:
    tree = deployed.plan.data
    if tree is None:
        return Row("none", "data", "none is configured")
    names = ", ".join(part.name for part in tree.parts)
    words = f"{names}: {len(tree.files)} files, {megabytes(tree.size)}, {tree.digest}"
    return Row(_mark(deployed.sent["data"]), "data", words)


def print_plan(session: Session, plan: Plan, argv: Sequence[str] = ()) -> None:
    """What would be sent and started."""
    tell_left_out(plan.code.left_out)
    trees = {"code": plan.code, "data": plan.data}
    sizes = {kind: tree for kind, tree in trees.items() if tree is not None}
    if session.as_json:
        told = {
            kind: {"files": len(tree.files), "bytes": tree.size} for kind, tree in sizes.items()
        }
        session.answer({**told, "argv": list(argv)})
        return
    for kind, tree in sizes.items():
        click.echo(f"{kind}: {len(tree.files)} files, {megabytes(tree.size)}, {tree.digest}")
    if argv:
        click.echo(f"command: {shlex.join(argv)}")


def print_runs(session: Session, states: Sequence[RunState]) -> None:
    """A table of runs, or a JSON line a run."""
    if session.as_json:
        for state in states:
            session.answer(state.model_dump(mode="json"))
    elif states:
        show(runs_table(states))
    else:
        click.echo("no runs on this pod yet; next: moola-remote train", err=True)


def print_fetched(session: Session, fetched: Fetched) -> None:
    """Where the files are."""
    if session.as_json:
        told = {"run_id": fetched.run_id, "folder": str(fetched.folder), "files": fetched.files}
        session.answer({**told, "bytes": fetched.bytes, "already_there": fetched.already_there})
        return
    came = f"{fetched.files} files, {megabytes(fetched.bytes)}" if fetched.files else "nothing new"
    click.echo(f"verified: {came}, {fetched.already_there} there already", err=True)
    click.echo(str(fetched.folder))
    for picture in sorted(fetched.folder.glob("artifacts/*.png")):
        click.echo(str(picture))


def print_scoreboard(session: Session, results: dict[str, Result]) -> None:
    """Runs beside each other."""
    if session.as_json:
        for run_id, result in results.items():
            session.answer({"run_id": run_id, **result.model_dump(mode="json")})
        return
    show(scoreboard(results))
