"""Fetched runs side by side: what differs, and how much better each is than the first.

A lead is paired, on the windows that both runs were judged on: `moola_remote.report.scores`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from moola_remote.errors import ConfigError
from moola_remote.protocol.result import Score
from moola_remote.report.paired_bootstrap import Lead, lead, pair
from moola_remote.report.predictions import Window
from moola_remote.report.run_files import SIDES, RunFiles
from moola_remote.report.score_tables import scores_of_side

MAX_RUNS = len(ascii_uppercase)
NONE = "-"


@dataclass(frozen=True)
class Difference:
    """One setting or fact, and what it is in each run."""

    name: str
    values: list[str]


@dataclass(frozen=True)
class Rival:
    """One run against the first, on one split.

    Attributes:
        pairs: the windows that both were judged on, the first run's answer first.
        lead: on those; None where there are none.
    """

    label: str
    pairs: list[tuple[Window, Window]]
    lead: Lead | None

    @property
    def flipped(self) -> list[tuple[Window, Window]]:
        """Found by one and missed by the other, the greatest change first."""
        flipped = [(one, other) for one, other in self.pairs if one.is_hit != other.is_hit]
        return sorted(flipped, key=lambda both: -abs(both[1].iou - both[0].iou))

    @property
    def num_won(self) -> int:
        """How many of those this run found."""
        return sum(other.is_hit for _, other in self.flipped)


@dataclass(frozen=True)
class Split:
    """One split: each run's scores, the others against the first, and rules by windows judged.

    A job that writes scores alone has no windows.
    """

    scores: list[Mapping[str, Score]]
    rivals: list[Rival]
    has_windows: bool
    rules: dict[str, Mapping[str, Mapping[str, Score]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Runs in the order given, called A, B and so on; `same` names what does not differ."""

    runs: list[RunFiles]
    labels: list[str]
    differences: list[Difference]
    same: list[str]
    splits: dict[str, Split]


def compare_runs(runs: Sequence[RunFiles]) -> Comparison:
    """Put runs side by side; the first is what the others are measured against.

    Raises:
        ConfigError: more runs than letters.
    """
    if len(runs) > MAX_RUNS:
        raise ConfigError(f"compare: {len(runs)} runs, expected at most {MAX_RUNS}")
    labels = list(ascii_uppercase[: len(runs)])
    differences, same = _differences(runs)
    splits = {
        side: _split(runs, labels, side)
        for side in SIDES
        if any(scores_of_side(run, side) for run in runs)
    }
    return Comparison(list(runs), labels, differences, same, splits)


def _split(runs: Sequence[RunFiles], labels: Sequence[str], side: str) -> Split:
    first = runs[0].of_side(side)
    rivals = []
    for run, label in zip(runs[1:], labels[1:], strict=True):
        pairs = pair(first, run.of_side(side))
        num_types = max(runs[0].num_types, run.num_types)
        rivals.append(Rival(label, pairs, lead(pairs, num_types) if pairs else None))
    scores = [scores_of_side(run, side) for run in runs]
    has_windows = any(run.of_side(side) for run in runs)
    return Split(scores, rivals, has_windows, _rules(runs, labels, side))


def _rules(
    runs: Sequence[RunFiles], labels: Sequence[str], side: str
) -> dict[str, Mapping[str, Mapping[str, Score]]]:
    """Return the rules once for each set of windows, by the labels of the runs judged there."""
    found: dict[str, Mapping[str, Mapping[str, Score]]] = {}
    for run, label in zip(runs, labels, strict=True):
        if run.result is None or not run.result.baselines or run.judged_side != side:
            continue
        rules = run.result.baselines
        # NaN is not equal to itself, its text is.
        alike = next((key for key, known in found.items() if repr(known) == repr(rules)), None)
        if alike is None:
            found[label] = rules
        else:
            found[f"{alike}, {label}"] = found.pop(alike)
    return found


def _differences(runs: Sequence[RunFiles]) -> tuple[list[Difference], list[str]]:
    differences, same = [], []
    for group, facts_of in _GROUPS.items():
        tables = [facts_of(run) for run in runs]
        names = dict.fromkeys(name for table in tables for name in table)
        found = [
            Difference(name, values)
            for name in names
            for values in [[table.get(name) or NONE for table in tables]]
            if len(set(values)) > 1
        ]
        differences += found
        if names and not found:
            same.append(group)
    return differences, same


def _command(run: RunFiles) -> dict[str, str]:
    """Return the command of a run without a recipe: there the settings are its arguments."""
    return {"command": shlex.join(run.spec.argv)} if run.spec and not run.config else {}


def _code(run: RunFiles) -> dict[str, str]:
    if run.spec is None:
        return {}
    source = run.spec.source
    facts = {"code": run.spec.code or ""}
    if source is not None:
        facts["commit"] = (source.commit or "")[:12]
        facts["branch"] = source.branch or ""
        facts["working tree"] = "changed" if source.dirty else "as committed"
    return facts


def _data(run: RunFiles) -> dict[str, str]:
    facts = {"data": (run.spec.data if run.spec else "") or ""}
    for file in run.result.data.files if run.result else ():
        facts[file.path] = f"{file.windows} windows, {file.sha256[:12]}"
    return facts


def _machine(run: RunFiles) -> dict[str, str]:
    event = run.view.run
    return {"device": event.device, **event.versions} if event else {}


_GROUPS: dict[str, Callable[[RunFiles], Mapping[str, str]]] = {
    "config": lambda run: run.config,
    "command": _command,
    "code": _code,
    "data": _data,
    "machine": _machine,
}
