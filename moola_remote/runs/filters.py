"""Runs chosen and sorted by anything that is known of them: recipe, scores, state.

A key is dotted, as in config.yaml (``model.hidden_size``), or a score (``f1``, ``validation.f1``;
without a split the test score, where there is one), or ``state``. Its last part is enough where
that means one key, as in ``train --set``.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from moola_remote.config.flatten import flat_config
from moola_remote.errors import ConfigError
from moola_remote.protocol.state import RunState, read_state
from moola_remote.text.sanitize import safe

SPLITS = ("validation", "test")
MAX_SCORES = 64
# A setting is text, a score a number.
Fact: TypeAlias = "str | float"
_CONDITION = re.compile(r"([^=!<>]+)(>=|<=|!=|=|>|<)(.*)")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Filter:
    """What must be true of a run."""

    key: str
    sign: str
    value: str

    def holds(self, found: Fact | None) -> bool:
        """Numbers are compared as numbers, all else as text; what is not known holds nowhere.

        A sweep may be named by its beginning or by its last part.
        """
        if found is None:
            return False
        if self.key == "sweep" and self.sign in ("=", "!="):
            return is_named(str(found), self.value) == (self.sign == "=")
        numbers = _number(found), _number(self.value)
        sides: tuple[Any, Any] = (str(found), self.value) if None in numbers else numbers
        return _OPERATORS[self.sign](*sides)


@dataclass(frozen=True)
class RunFacts:
    """A run's state, and what else is known of it by key."""

    state: RunState
    facts: Mapping[str, Fact]


@dataclass(frozen=True)
class Selection:
    """The runs that were asked for, in order, and the values of the keys that were named."""

    states: list[RunState]
    columns: dict[str, list[Fact | None]]


def is_named(sweep_id: str, name: str) -> bool:
    """Return whether `name` means a sweep: its id, the beginning of it, or its last part."""
    return bool(name) and (sweep_id.startswith(name) or sweep_id.endswith(f"-{name}"))


def read_condition(text: str) -> Filter:
    """``KEY=VALUE``, also with ``!= < <= > >=``.

    Raises:
        ValueError: it is none.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ValueError(f"expected KEY=VALUE, also with != < <= > >=, got {text!r}")
    return Filter(found[1].strip(), found[2], found[3].strip())


def read_known(answer: Mapping[str, Any]) -> list[RunFacts]:
    """Return the agent's answer to ``list --facts``; what can't be read of a run is unknown."""
    runs = answer.get("runs")
    return (
        [RunFacts(read_state(run), _facts(run)) for run in runs] if isinstance(runs, list) else []
    )


def choose(known: Sequence[RunFacts], conditions: Sequence[Filter], sort: str | None) -> Selection:
    """Return the runs that match all conditions; sorted, the largest value comes last.

    Raises:
        ConfigError: a key is known of no run, or its last part means several.
    """
    every = dict.fromkeys(key for run in known for key in run.facts)
    keys = [_key(one.key, every) for one in conditions]
    runs = [
        run
        for run in known
        if all(one.holds(run.facts.get(key)) for key, one in zip(keys, conditions, strict=True))
    ]
    if sort is not None:
        keys.append(_key(sort, every))
        runs = sorted(runs, key=lambda run: _rank(run.facts.get(keys[-1])))
    shown = [key for key in dict.fromkeys(keys) if key != "state"]
    return Selection(
        [run.state for run in runs],
        {key: [run.facts.get(key) for run in runs] for key in shown},
    )


def shown(fact: Fact | None) -> str:
    """Return a setting as it stands, a score with three digits."""
    if fact is None:
        return "-"
    return f"{fact:.3f}" if isinstance(fact, float) else fact


def _facts(run: Any) -> dict[str, Fact]:
    state = read_state(run).state
    facts: dict[str, Fact] = {}
    config, scores = run.get("config"), run.get("scores")
    for key in ("sweep", "trial"):
        if isinstance(run.get(key), str | int):
            facts[key] = safe(str(run[key]), 60)
    if isinstance(config, str):
        with contextlib.suppress(ValueError):
            facts |= flat_config(config)
    for split in SPLITS:
        part = scores.get(split) if isinstance(scores, dict) else None
        for name, score in list(part.items())[:MAX_SCORES] if isinstance(part, dict) else ():
            value = score.get("value") if isinstance(score, dict) else None
            if isinstance(value, int | float) and math.isfinite(value):
                facts[f"{split}.{safe(name, 60)}"] = facts[safe(name, 60)] = float(value)
    return {**facts, "state": state}


def _key(wanted: str, every: Mapping[str, Any]) -> str:
    if wanted in every or not every:
        return wanted
    ends = [key for key in every if key.endswith(f".{wanted}")]
    if len(ends) == 1:
        return ends[0]
    near = ends or difflib.get_close_matches(wanted, every, n=3, cutoff=0.4)
    some = ", ".join(near or list(every)[:3])
    what = f"{len(ends)} keys end so" if ends else "no run has such a key"
    raise ConfigError(f"runs: {safe(wanted, 80)}: {what}, expected one like {some}")


def _rank(found: Fact | None) -> tuple[int, float, str]:
    """Unknown first, then numbers, then text."""
    if found is None:
        return 0, 0.0, ""
    number = _number(found)
    return (1, number, "") if number is not None else (2, 0.0, str(found))


def _number(fact: Fact) -> float | None:
    try:
        value = float(fact)
    except ValueError:
        return None
    return None if math.isnan(value) else value
