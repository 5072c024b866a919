"""The facts of a run: what was run, when, at what price, on which code, data and machine."""

from __future__ import annotations

import math
import shlex
from datetime import datetime, timedelta, timezone
from itertools import pairwise

from moola_remote.report.run_files import RunFiles
from moola_remote.text.format import duration, percent
from moola_remote.text.sanitize import safe

MAX_COMMAND = 2000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def facts(run: RunFiles) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return groups of name and value; what is not known is left out."""
    groups = [
        ("Run", _run_facts(run)),
        ("Time and money", _time_facts(run)),
        ("Code", _code_facts(run)),
        ("Data", _data_facts(run)),
        ("Environment", _environment_facts(run)),
    ]
    kept = [(title, [(name, value) for name, value in rows if value]) for title, rows in groups]
    return [(title, rows) for title, rows in kept if rows]


def _run_facts(run: RunFiles) -> list[tuple[str, str]]:
    event, result = run.view.run, run.result
    windows = event.windows if event else {}
    parameters = event.num_parameters if event else None
    return [
        ("state", state_words(run)),
        ("recipe", event.recipe if event else ""),
        ("seed", str(event.seed) if event and event.seed is not None else ""),
        ("device", event.device if event else ""),
        ("tasks", ", ".join(event.tasks) if event else ""),
        ("parameters", f"{parameters:,}" if parameters is not None else ""),
        ("windows", ", ".join(f"{count} {side}" for side, count in windows.items() if count)),
        ("epochs", str(result.epochs) if result else str(len(run.view.epochs) or "")),
        ("best epoch", str(run.best_epoch or "")),
        ("decoder", decoder_words(run)),
    ]


def state_words(run: RunFiles) -> str:
    """Return how it ended, and why."""
    if run.state is None:
        return ""
    word, reason = run.state.state.lower(), run.state.reason or ""
    return reason if reason.startswith(word) else ", ".join(filter(None, (word, reason)))


def _time_facts(run: RunFiles) -> list[tuple[str, str]]:
    state, price = run.state, run.spec.price_per_hour if run.spec else None
    rows = [(name, duration(end - start)) for name, start, end in phases_of(run)]
    queued = state.queued_at if state else None
    rows.insert(0, ("queued at", instant(queued) if queued is not None else ""))
    idle = run.view.idle_share
    rows.append(("idle", f"{percent(idle)} of samples" if idle is not None else ""))
    if price and state and state.started_at is not None and state.ended_at is not None:
        hours = (state.ended_at - state.started_at) / 3600
        rows.append(("cost", f"${hours * price:.2f} at ${price:.2f} an hour"))
    return rows


def _code_facts(run: RunFiles) -> list[tuple[str, str]]:
    if run.spec is None:
        return []
    rows = [("command", command_of(run)), ("snapshot", run.spec.code or "")]
    source = run.spec.source
    if source is not None:
        tree = "changed" if source.dirty else "as committed"
        rows += [("commit", source.commit or ""), ("branch", source.branch or "")]
        rows += [("working tree", tree), ("replay of", run.spec.replay_of or "")]
    return rows


def command_of(run: RunFiles) -> str:
    """Return what was started, for showing."""
    return safe(shlex.join(run.spec.argv), MAX_COMMAND) if run.spec else ""


def _data_facts(run: RunFiles) -> list[tuple[str, str]]:
    files = run.result.data.files if run.result else []
    rows = [("snapshot", (run.spec.data if run.spec else "") or "")]
    for file in files[:20]:
        count = f"{file.windows} windows, " if file.windows else ""
        rows.append((file.path, f"{count}{file.sha256[:16]}"))
    return rows


def _environment_facts(run: RunFiles) -> list[tuple[str, str]]:
    versions = run.view.run.versions if run.view.run else {}
    return [("environment", (run.spec.environment if run.spec else "") or ""), *versions.items()]


def instant(seconds: float) -> str:
    """Return a time in UTC, to the minute."""
    try:
        return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError):
        return ""


def phases_of(run: RunFiles) -> list[tuple[str, float, float]]:
    """Queue, start-up, training and the judging at the end, as far as they are known.

    A command that writes no events has a queue and a run.
    """
    state, last = run.state, run.view.last_epoch
    if state is None:
        return []
    has_trained = last is not None and last.epoch >= run.view.num_epochs
    marks = [
        ("queue", state.queued_at),
        ("run" if run.training_began is None else "start-up", state.started_at),
        ("training", run.training_began),
        ("judging", last.t if last and has_trained else None),
        ("end", state.ended_at),
    ]
    known = [(name, time) for name, time in marks if time is not None and math.isfinite(time)]
    return [(name, start, end) for (name, start), (_, end) in pairwise(known) if end >= start]


def decoder_words(run: RunFiles) -> str:
    """Return the decoder by name, with its threshold if it has one; empty where a run has none."""
    if run.result is None or not (run.result.decoder or run.result.threshold is not None):
        return ""
    kind, threshold = str(run.result.decoder.get("kind", "threshold")), threshold_of(run)
    return f"{kind} {threshold:g}" if kind == "threshold" and threshold is not None else kind


def threshold_of(run: RunFiles) -> float | None:
    """Of the decoder, where it has one."""
    if run.result is None:
        return None
    decoder = run.result.decoder
    value = decoder.get("threshold") if decoder.get("kind") == "threshold" else run.result.threshold
    return value if isinstance(value, int | float) else None
