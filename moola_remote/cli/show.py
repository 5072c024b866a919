"""What ``runs show`` prints of a record."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click
from msgspec import structs

from moola_remote.cli.app import App
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.protocol.spec import Source
    from moola_remote.protocol.state import RunState
    from moola_remote.runs.record import Record
MAX_COMMAND = 2000


def print_record(app: App, record: Record) -> None:
    """Print a line a fact, then the configuration; as JSON everything there is, the diff too."""
    if app.as_json:
        app.answer({**record.table, "machine": record.machine})
        return
    for name, value in _facts(record):
        click.echo(f"{name:12} {value}")
    for line in (record.config or "").splitlines():
        click.echo(f"  | {line}")


def print_diff(record: Record) -> None:
    """Print the changes against the commit, in git's form."""
    source = record.spec.source
    if source is None or not source.diff:
        click.echo("no changes of tracked files on record", err=True)
    else:
        click.echo(source.diff)


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    spec, machine = record.spec, record.machine
    yield "run", spec.run_id
    if record.is_gone:
        yield "from", "files here; it is not on the pod"
    if record.state is not None:
        yield from _times(record.state)
    yield "command", safe(shlex.join(spec.argv), MAX_COMMAND)
    origins = {"replay of": spec.replay_of, "resumed from": spec.parent, "recipe": spec.recipe}
    for name, value in origins.items():
        if value:
            yield name, value
    if spec.sweep:
        yield "sweep", f"{spec.sweep}, trial {spec.trial}"
    if record.run is not None and record.run.seed is not None:
        yield "seed", str(record.run.seed)
    yield from _code(spec.source)
    for name, digest in (("code", spec.code), ("data", spec.data), ("env", spec.environment)):
        yield name, digest or "none"
    for name, known in structs.asdict(machine).items():
        yield name, known or ("none" if name == "cuda" and machine.torch else "not known")
    if spec.secret_names:
        yield "secrets", ", ".join(spec.secret_names)


def _times(state: RunState) -> Iterator[tuple[str, str]]:
    from moola_remote.text.format import duration

    yield "state", f"{state.state}{f', {state.reason}' if state.reason else ''}"
    times = {"queued": state.queued_at, "started": state.started_at, "ended": state.ended_at}
    for name, at in times.items():
        if at is not None:
            yield name, _clock(at)
    if state.ended_at is not None and state.took_s is not None:
        yield "took", duration(state.took_s)


def _clock(at: float) -> str:
    try:
        return datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return "not a time"


def _code(source: Source | None) -> Iterator[tuple[str, str]]:
    if source is None:
        yield "commit", "not in git"
        return
    branch = f", branch {source.branch}" if source.branch else ""
    yield "commit", f"{source.commit or 'none yet'}{branch}"
    yield "changes", _summary(source)


def _summary(source: Source) -> str:
    if not source.dirty:
        return "none"
    lines = source.diff.splitlines()
    files = sum(line.startswith("diff --git ") for line in lines)
    plus = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
    minus = sum(line.startswith("-") and not line.startswith("--- ") for line in lines)
    if not files:
        return "files that git does not know"
    return f"{files} file{'s' if files > 1 else ''}, +{plus} -{minus}; --diff prints them"
