"""How long a sweep will take and what it will cost, by earlier runs of the recipe."""

from __future__ import annotations

import statistics
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from moola_remote.config.paths import STATE
from moola_remote.config.settings import PodConfig, Project
from moola_remote.config.typed import read_json
from moola_remote.errors import MoolaError
from moola_remote.protocol.spec import Spec
from moola_remote.protocol.state import read_state
from moola_remote.sweep.packed import read_end
from moola_remote.sweep.plan import Plan
from moola_remote.text.format import duration

MAX_RUNS = 20


@dataclass(frozen=True)
class Estimate:
    """Seconds that a trial takes, by so many earlier ones; the slowest and the quickest of them."""

    num_runs: int
    low_s: float
    median_s: float
    high_s: float

    def words(self, plan: Plan, price: float | None) -> str:
        """Return time and money of a whole sweep on one line."""
        whole = [plan.trials * seconds for seconds in (self.low_s, self.median_s, self.high_s)]
        low, middle, high = (seconds / len(plan.pods) for seconds in whole)
        pods = f"{len(plan.pods)} pods" if len(plan.pods) > 1 else "1 pod"
        text = (
            f"about {duration(middle)} ({duration(low)} to {duration(high)}): {plan.trials} trials"
            f" x {duration(self.median_s)}, as in {self.num_runs} earlier ones, on {pods}"
        )
        if price:
            usd = [seconds / 3600 * price for seconds in whole]
            text += f"; ${usd[1]:.2f} (${usd[0]:.2f} to ${usd[2]:.2f}) at ${price:.2f}/h a pod"
        return text


def estimate(project: Project, plan: Plan) -> Estimate | None:
    """Return what earlier fetched runs say; None where there are none like it."""
    found = []
    for folder in sorted(project.results_folder.glob("[!.]*/"), reverse=True):
        with suppress(OSError, ValueError, MoolaError):
            spec = Spec.read((folder / "spec.json").read_bytes(), str(folder))
            state = read_state(read_json((folder / STATE).read_bytes()))
            is_alike = spec.recipe == plan.recipe and (
                plan.recipe or spec.argv[:2] == plan.command[:2]
            )
            if is_alike and state.state == "SUCCEEDED" and state.took_s:
                found += _trials_of(folder) or [state.took_s]
        if len(found) >= MAX_RUNS:
            break
    if not found:
        return None
    return Estimate(len(found), min(found), statistics.median(found), max(found))


def _trials_of(folder: Path) -> list[float]:
    """Return the seconds of each trial of a run that did several; empty of another run."""
    ends = [read_end(path.parent) for path in sorted(folder.glob("trials/*/end.json"))]
    return [end.seconds for end in ends if end is not None and end.exit_code == 0 and end.seconds]


def price_of(config: PodConfig) -> float | None:
    """Return USD an hour that a pod's file says: its price, or the most that may be rented for."""
    return config.runpod.max_price if config.runpod else config.price_per_hour
