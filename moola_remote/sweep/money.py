"""Money over pods: what a sweep has spent, and whether one trial more fits.

Each pod is metered from when the sweep begins to use it to when it is released. The meter is a file
of the sweep: after a crash of the laptop a rented pod has cost something all the while.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from moola_remote.config.typed import WrongValueError, decoded, json_of
from moola_remote.errors import ConfigError, LimitError
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable
from moola_remote.sweep.trial import Trial

# Kept back of a rented pod's share, so that its results can be fetched before it stops itself.
FETCH_S = 120.0


class Span(Struct):
    """A time in which a pod was used: Unix seconds, USD an hour; `until` is None while it lasts."""

    pod: str
    price: Annotated[float, Meta(ge=0)]
    since: float
    until: float | None = None
    is_rented: bool = False

    def usd(self, now: float) -> float:
        """Return what it has cost."""
        end = now if self.until is None else self.until
        return max(0.0, end - self.since) * self.price / 3600


class Spans(Struct):
    """``money.json``."""

    spans: list[Span] = []


def metered_pods(sweeps: Path) -> list[str]:
    """Return the pods that sweeps of a project have used, as far as that can be read."""
    names = set()
    for path in sweeps.glob("*/money.json"):
        with suppress(OSError, WrongValueError):
            names |= {span.pod for span in decoded(Spans, path.read_bytes()).spans}
    return sorted(names)


def require_left(left_usd: float | None, run_id: str) -> None:
    """Check that a run which is about to be started may cost something; None is no limit.

    Raises:
        LimitError: it may not: without a limit of its own it would have none.
    """
    if left_usd is not None and left_usd <= 0:
        raise LimitError(f"--max-cost: nothing is left of it, so {run_id} is not started")


class Budget:
    """The meter of a sweep, and its limit; every method may be called from any thread.

    Args:
        path: ``money.json``; read where it is there.
        limit_usd: of the whole sweep; None is none.
        last_seen: Unix time until which a pod of the user's own counts that was in use when the
            laptop died.
        clock: Unix time.

    Raises:
        ConfigError: the file can't be read.
    """

    def __init__(
        self,
        path: Path,
        limit_usd: float | None,
        *,
        last_seen: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self.limit_usd = limit_usd
        try:
            self._table = decoded(Spans, path.read_bytes())
        except FileNotFoundError:
            self._table = Spans()
        except (OSError, WrongValueError) as err:
            raise ConfigError(f"{path}: can't be read; what was spent is not known") from err
        for span in self._table.spans:
            if span.until is None and not span.is_rented and last_seen is not None:
                span.until = max(span.since, last_seen)

    def open(
        self, pod: str, price: float | None, *, since: float | None = None, is_rented: bool = False
    ) -> None:
        """Begin to meter a pod, unless it is metered already.

        Raises:
            ConfigError: there is a limit, and the pod's price is not known.
            LimitError: the meter can't be written.
        """
        if price is None and self.limit_usd is not None:
            raise ConfigError(
                f"--max-cost: the price of pod {pod} is not known",
                f"write price_per_hour into the file of {pod}",
            )
        with self._lock:
            if price is not None and self._find(pod) is None:
                began = self._clock() if since is None else since
                span = Span(pod=pod, price=price, since=began, is_rented=is_rented)
                self._table.spans.append(span)
                self._save()

    def close(self, pod: str) -> None:
        """End the metering of a pod."""
        with self._lock:
            span = self._find(pod)
            if span is not None:
                span.until = self._clock()
                self._save()

    def spent(self) -> float:
        """Return USD so far."""
        with self._lock:
            now = self._clock()
            return sum(span.usd(now) for span in self._table.spans)

    def left(self) -> float | None:
        """Return USD that are left; None without a limit."""
        return None if self.limit_usd is None else max(0.0, self.limit_usd - self.spent())

    def expected(self, trials: Sequence[Trial]) -> float:
        """Return USD that the running trials, and one more, will cost by the median so far."""
        took = [trial.seconds for trial in trials if trial.state == "complete" and trial.seconds]
        with self._lock:
            prices = [span.price for span in self._table.spans if span.until is None]
        if not took or not prices:
            return 0.0
        num_trials = 1 + sum(trial.state == "running" for trial in trials)
        return num_trials * statistics.median(took) * statistics.mean(prices) / 3600

    def refusal(self, trials: Sequence[Trial]) -> LimitError | None:
        """Return why no further trial may be begun; None where one more fits."""
        left = self.left()
        if left is None:
            return None
        expected = self.expected(trials)
        if left > 0 and expected <= left:
            return None
        return LimitError(
            f"--max-cost: ${self.spent():.2f} of ${self.limit_usd:.2f} are spent, and one trial "
            f"more with those that are running would be about ${expected:.2f}"
        )

    def stop_at(self, price: float, num_pods: int, *, kept: float = 0.0) -> float | None:
        """Return when a rented pod has to stop itself, so that all of them keep the limit.

        Args:
            price: USD an hour.
            num_pods: among which what is left is shared out.
            kept: USD of it that others may still cost.
        """
        left = self.left()
        if left is None or price <= 0:
            return None
        return self._clock() + max(0.0, (left - kept) / num_pods / price * 3600 - FETCH_S)

    def now(self) -> float:
        """Return Unix time by the clock of the meter."""
        return self._clock()

    def _find(self, pod: str) -> Span | None:
        spans = self._table.spans
        return next((span for span in spans if span.pod == pod and span.until is None), None)

    def _save(self) -> None:
        try:
            atomic.write(self._path, json_of(self._table))
        except OSError as err:
            raise unwritable(self._path, err) from err
