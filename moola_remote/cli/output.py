"""What commands print: the answer on stdout, talk on stderr; JSON where it was asked for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

from moola_remote import deploy
from moola_remote.bridge import local_version
from moola_remote.datasets import contents_of
from moola_remote.deploy import Deployed, Plan
from moola_remote.errors import ConfigError
from moola_remote.listing import ORDINARY
from moola_remote.panels import duration
from moola_remote.rsync import known_holes
from moola_remote.session import Session
from moola_remote.tables import Columns, Mark, Row, component_table, runs_table, show

if TYPE_CHECKING:
    from moola_remote.choosing import Chosen
    from moola_remote.fetch import Fetched
    from moola_remote.providers.runpod.account import PodCost
    from moola_remote.report.comparison import Comparison
    from moola_remote.runcosts import RunCost
    from moola_remote.runs import RunState
    from moola_remote.snapshot import Tree


MAX_AWAY = 4


class Progression:
    """What is going on, on stderr: bars of transfers over one line of talk; a context manager.

    Without a terminal there are no bars, and only what the pod says is told.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._is_live = console.is_terminal
        self._bars = Progress(
            *(_words("{task.description:>8}"), BarColumn(), DownloadColumn()),
            *(TransferSpeedColumn(), TimeRemainingColumn()),
            console=console,
        )
        self._talk = Progress(
            SpinnerColumn(), _words("{task.description}"), TimeElapsedColumn(), console=console
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: TaskID | None = None
        self._live = Live(Group(self._bars, self._talk), console=console, transient=True)

    def __enter__(self) -> Progression:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_live:
            self._live.stop()

    def update(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes of the transfer `name` have gone."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name)
        self._bars.update(self._tasks[name], completed=done, total=total)

    def step(self, text: str) -> None:
        """Show what is done now, and for how long, instead of the step before."""
        if self._said is not None:
            self._talk.remove_task(self._said)
        self._said = self._talk.add_task(text, total=None)

    def say(self, line: str) -> None:
        """Tell a line of the pod's."""
        if self._is_live:
            self.step(f"pod: {line}")
        else:
            click.echo(f"pod: {line}", err=True)


def _words(form: str) -> TextColumn:
    # A pod's line is no markup, and must not wrap: the live view would jump.
    return TextColumn(form, markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))


def make_plan(session: Session, data: Mapping[str, Path], *, is_all: bool) -> Plan:
    """Look at the laptop, and name what does not travel; what is ordinary only where `is_all`."""
    with Progression() as progression:
        progression.step("reading code and data")
        plan = deploy.make_plan(session, data)
    for tree in (plan.code, plan.data):
        for leaving in tree.left_out if tree else ():
            if is_all or leaving.rule not in ORDINARY:
                size = f" ({amount(leaving.size)})" if leaving.size else ""
                click.echo(f"not sent, {leaving}{size}", err=True)
    return plan


def show_deploy(session: Session, plan: Plan) -> Deployed:
    """Deploy, and show how it goes."""
    _ = session.transport  # it may ask whether a host key is right: before anything is drawn
    with Progression() as progression:
        return deploy.deploy(session, plan, progression)


def amount(size: float) -> str:
    """Bytes in words: ``3.1 MB``."""
    if size < 1e5:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def print_components(session: Session, deployed: Deployed) -> None:
    """The table that a deploy ends with."""
    rows = component_rows(session, deployed)
    if session.as_json:
        session.answer({row.name: {"mark": row.mark, "details": row.details} for row in rows})
        return
    show(component_table(rows))
    total = sum(deployed.sent.values())
    if total or deployed.environment.created:
        click.echo(f"sent {amount(total)}")
    else:
        click.echo("nothing to send: code, data and environment were there already")


def component_rows(session: Session, deployed: Deployed) -> list[Row]:
    """What is on the pod, a row a component."""
    endpoint, facts, environment = session.endpoint, deployed.facts, deployed.environment
    torch = environment.torch
    cuda = f"{torch.version}, CUDA {torch.cuda or 'none'}" if torch else "torch is missing"
    disk = amount(facts.disk_free or 0)
    holes = [known_holes(local_version()), known_holes(facts.rsync or "")]
    return [
        Row("ok", "SSH connection", f"{endpoint.user}@{endpoint.host}:{endpoint.port}"),
        Row("ok" if deployed.gpu else "none", "GPU", deployed.gpu or "none: CPU"),
        Row("ok", "Python", f"{environment.python}, {facts.cpus} CPUs, {disk} of disk free"),
        Row("ok" if torch else "bad", "torch, CUDA", cuda),
        Row(_mark(deployed.sent["code"]), "code", _code_words(deployed.plan.code)),
        _data_row(deployed),
        Row(
            "ok" if environment.created else "same",
            "dependencies",
            f"{len(environment.packages)} packages, {deployed.trees['environment']}",
        ),
        *(
            Row("warn", f"rsync {where}", hole)
            for where, hole in zip(("here", "on the pod"), holes, strict=True)
            if hole
        ),
    ]


def _mark(sent: int) -> Mark:
    return "ok" if sent else "same"


def _code_words(tree: Tree) -> str:
    source = tree.source
    commit = (source.commit or "no commit")[:8] if source else "not in git"
    dirty = ", dirty" if source and source.dirty else ""
    return f"{len(tree.files)} files, {amount(tree.size)}, {commit}{dirty}, {tree.digest}"


def _data_row(deployed: Deployed) -> Row:
    tree = deployed.plan.data
    if tree is None:
        return Row("none", "data", "none is configured")
    names = ", ".join(part.name for part in tree.parts)
    contents = contents_of(tree)
    mark = "warn" if contents.unreadable else _mark(deployed.sent["data"])
    words = [f"{names}: {contents}" if str(contents) else names]
    words += [f"{len(tree.files)} files", amount(tree.size), tree.digest]
    return Row(mark, "data", ", ".join(words))


def print_plan(session: Session, plan: Plan, argv: Sequence[str] = ()) -> None:
    """What would be sent and started."""
    trees = {"code": plan.code, "data": plan.data}
    sizes = {kind: tree for kind, tree in trees.items() if tree is not None}
    if session.as_json:
        told = {
            kind: {"files": len(tree.files), "bytes": tree.size, "digest": tree.digest}
            for kind, tree in sizes.items()
        }
        session.answer({**told, "argv": list(argv)})
        return
    for kind, tree in sizes.items():
        # A tree without files is one that is replayed, and is on the pod.
        size = f"{len(tree.files)} files, {amount(tree.size)}" if tree.files else "on the pod"
        click.echo(f"{kind}: {size}, {tree.digest}")
    if argv:
        click.echo(f"command: {shlex.join(argv)}")


def print_chosen(session: Session, chosen: Chosen) -> None:
    """The runs that were asked for, with the keys that were named."""
    from moola_remote.choosing import shown

    if session.as_json:
        for i, state in enumerate(chosen.states):
            values = {key: column[i] for key, column in chosen.columns.items()}
            session.answer({**state.model_dump(mode="json"), "values": values})
    elif chosen.states:
        columns = {key: [shown(value) for value in found] for key, found in chosen.columns.items()}
        show(runs_table(chosen.states, columns))
    else:
        click.echo("no run is like that", err=True)


def print_runs(session: Session, states: Sequence[RunState]) -> None:
    """A table of runs, or a JSON line a run."""
    if session.as_json:
        for state in states:
            session.answer(state.model_dump(mode="json"))
    elif states:
        show(runs_table(states))
    else:
        click.echo("no runs on this pod yet; next: moola-remote train", err=True)


def tell_away(session: Session, states: Sequence[RunState]) -> None:
    """A line a run that has changed since this laptop looked at it last, the newest four."""
    from moola_remote.away import catch_up

    told = 0
    for state in reversed(states):
        lines = catch_up(session, state) if told < MAX_AWAY else []
        if lines:
            click.echo(f"{state.run_id}: {'; '.join(lines)}", err=True)
            told += 1


def print_fetched(session: Session, fetched: Fetched, *, has_page: bool = True) -> Path | None:
    """Where the files are, and the page that shows them, which is made now, and returned."""
    page = _page(fetched.folder) if has_page else None
    if session.as_json:
        told: dict[str, object] = {"run_id": fetched.run_id, "folder": str(fetched.folder)}
        told |= {"files": fetched.files, "bytes": fetched.bytes}
        told |= {"already_there": fetched.already_there, "report": str(page) if page else None}
        session.answer(told)
        return page
    came = f"{fetched.files} files, {amount(fetched.bytes)}" if fetched.files else "nothing new"
    click.echo(f"verified: {came}, {fetched.already_there} there already", err=True)
    click.echo(str(fetched.folder))
    if page:
        click.echo(str(page))
    for picture in sorted(fetched.folder.glob("artifacts/*.png")):
        click.echo(str(picture))
    return page


def _page(folder: Path) -> Path | None:
    """The run's page, in the list of all, too; what came is complete without: a fault is told."""
    from moola_remote.report.index_page import write_index
    from moola_remote.report.run_page import write_report

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


def print_comparison(session: Session, compared: Comparison) -> None:
    """Runs beside each other."""
    from moola_remote.report.terminal import ComparisonText, as_json

    if session.as_json:
        for fields in as_json(compared):
            session.answer(dict(fields))
        return
    show(ComparisonText(compared))


def print_costs(pods: Sequence[PodCost], runs: Sequence[RunCost], days: int) -> None:
    """A table of pods, one of runs, and the sums."""
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
    if run.seconds is None or run.usd is None:
        return [run.run_id, "-", "-", "not seen at work from here"]
    rest = "" if run.is_over else "so far: its end was not seen from here"
    return [run.run_id, duration(run.seconds), f"{run.usd:.3f}", rest]


def _texts(rows: Sequence[Sequence[str]]) -> list[list[Text]]:
    return [[Text(cell) for cell in row] for row in rows]
