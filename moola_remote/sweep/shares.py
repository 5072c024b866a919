"""The budget of a sweep shared out among its pods: what one leaves over goes to the others.

Each rented pod stops itself at its end, with the laptop off, too. The sum of what all may still
cost never exceeds what is left: an end is brought forward, and proved, before one is put off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from moola_remote.errors import MoolaError, PodGoneError, behind_pod
from moola_remote.follow.reconnect import persist
from moola_remote.sweep.money import FETCH_S, Budget

FIRST_END_S = 60.0  # of being out of reach, until a limit can't be promised
# An end that moves by less is left where it is.
WORTH_S = 60.0


@dataclass(frozen=True)
class Share:
    """A pod's part; `price` is None of one that is not rented, which has no end of its own."""

    price: float | None
    stop_at: float | None = None
    is_working: bool = True


@dataclass
class Shares:
    """Who may spend how much; every method may be called from any thread.

    Attributes:
        budget: what is left.
        set_end: has a pod stop itself at this Unix time; raises where it can't.
        say: given a line about each change that fails.
    """

    budget: Budget
    set_end: Callable[[str, float], None]
    say: Callable[[str], None]
    _shares: dict[str, Share] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, names: Sequence[str], prices: Mapping[str, float]) -> None:
        """Give each of the pods that are up an equal part.

        Args:
            names: of all of them.
            prices: USD an hour of those that are rented.

        Raises:
            MoolaError: a pod can't stop itself, so that the limit would not be kept.
        """
        with self._lock:
            for name in names:
                price = prices.get(name)
                end = None if price is None else self.budget.stop_at(price, len(names))
                try:
                    if end is not None:
                        self._set_first_end(name, end)
                except PodGoneError as err:  # it costs nothing; whoever works with it finds out
                    self.say(err.message)
                else:
                    self._shares[name] = Share(price, end)
            if len(self._shares) < len(names):
                self._share_again()

    def _set_first_end(self, name: str, end: float) -> None:
        persist(
            lambda: self.set_end(name, end),
            lambda err: self.say(f"pod {name}: {behind_pod(name, err.message)}; trying again"),
            FIRST_END_S,
        )

    def finish(self, name: str, *, is_billed: bool) -> None:
        """Divide what is left by a pod that is no longer used among the others.

        Args:
            name: of the pod.
            is_billed: it may still cost something, up to its own end.
        """
        with self._lock:
            share = self._shares.pop(name, None)
            if share is None:
                return
            if is_billed:
                self._shares[name] = replace(share, is_working=False)
            self._share_again()

    def _share_again(self) -> None:
        working = {name: one for name, one in self._shares.items() if one.is_working}
        now, kept = self.budget.now(), 0.0
        for one in self._shares.values():
            if not one.is_working and one.price and one.stop_at is not None:
                kept += max(0.0, one.stop_at + FETCH_S - now) * one.price / 3600
        moves = []
        for name, one in working.items():
            if one.price is None or one.stop_at is None:
                continue
            end = self.budget.stop_at(one.price, len(working), kept=kept)
            if end is not None and abs(end - one.stop_at) > WORTH_S:
                moves.append((end - one.stop_at, name, end))
        for later_s, name, end in sorted(moves):
            try:
                self.set_end(name, end)
            except MoolaError as err:
                self.say(f"pod {name}: its end stays where it was; {behind_pod(name, str(err))}")
                if later_s < 0:  # what it was to give up is not free
                    return
                continue
            self._shares[name] = replace(working[name], stop_at=end)
