"""The pods of a sweep: brought up, given a share of the budget, sent code, and released."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.errors import LimitError, MoolaError, PodGoneError, UnreachableError, behind_pod

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Deployed
    from moola_remote.deploy.deploy import Plan as DeployPlan
    from moola_remote.sweep.money import Budget
    from moola_remote.sweep.plan import Plan
    from moola_remote.sweep.shares import Shares
    from moola_remote.ui.sweep_output import SweepOutput


@dataclass(frozen=True)
class DeployNotes:
    """A deploy to one of several pods: what the pod says becomes notes, nothing is drawn.

    Attributes:
        name: of the pod.
        note: takes each line.
    """

    name: str
    note: Callable[[str], None]

    def step(self, text: str) -> None:
        """See `deploy.Watcher`."""

    def update(self, name: str, done: int, total: int) -> None:
        """See `deploy.Watcher`."""

    def say(self, line: str) -> None:
        """See `deploy.Watcher`."""
        self.note(f"pod {self.name}: {line}")


@dataclass
class SweepPods:
    """What a sweep does with pods beside running trials on them.

    Attributes:
        app: of the command.
        plan: of the sweep.
        budget: meters each pod.
        output: what is shown of the sweep.
        find_plan: what has to be on a pod, given its app.
    """

    app: App
    plan: Plan
    budget: Budget
    output: SweepOutput
    find_plan: Callable[[App], DeployPlan]
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def _shares(self) -> Shares:
        from moola_remote.sweep.shares import Shares

        return Shares(self.budget, self._set_end, self.output.on_note)

    def bring_up(self, name: str) -> None:
        """Have a rented pod up, metered from before it was asked for; meet another's host key.

        Raises:
            MoolaError: it can't be rented, or its host key is not the one that is known.
        """
        began = time.time()
        with self.output.paused(), self.app.for_pod(name) as one:
            if not one.pod.provider.is_paid:
                with suppress(UnreachableError):  # `deploy` tries it again
                    _ = one.pod.transport
            else:
                one.bring_up()
                price = one.pod.endpoint.price_per_hour
                self.budget.open(name, price, since=began, is_rented=True)

    def share(self, names: Sequence[str]) -> None:
        """Have each rented pod stop itself when its share of the budget is spent.

        Raises:
            LimitError: a pod can't stop itself, so that the limit would not be kept.
        """
        prices = {}
        for name in names if self.budget.limit_usd is not None else ():
            with self.app.for_pod(name) as one:
                if one.pod.provider.is_paid:
                    with suppress(PodGoneError):  # it costs nothing, and whoever uses it finds out
                        prices[name] = one.pod.endpoint.price_per_hour or 0.0
        self._shares.begin(names, prices)

    def _set_end(self, name: str, stop_at: float) -> None:
        """Have a rented pod stop itself then, or when it would have anyway.

        Raises:
            LimitError: it can't stop itself.
        """
        from moola_remote.pods.watchdog import set_guard

        with self.app.for_pod(name) as one:
            guard = one.pod.endpoint.guard or {}
            ends = [end for end in (guard.get("stop_at"), stop_at) if end is not None]
            guarded = set_guard(one.pod.agent, {**guard, "stop_at": min(ends)})
            if guarded.left_s is None:
                raise LimitError(f"--max-cost: {guarded.line}")
            click.echo(f"pod {name}: {guarded.line}", err=True)

    def deploy(self, name: str) -> Deployed:
        """Have the sweep's code and data on a pod.

        Raises:
            MoolaError: of the connection, or of the transfer.
        """
        from moola_remote.deploy.deploy import deploy
        from moola_remote.runs.launch import keep_code

        with self.app.for_pod(name) as one:
            wanted = self.find_plan(one)
            self.budget.open(name, one.pod.endpoint.price_per_hour)
            deployed = deploy(one.pod, wanted, DeployNotes(name, self.output.on_note))
            problem = keep_code(one.pod, deployed)
        if problem:
            click.echo(f"note: {problem}", err=True)
        return deployed

    def release(self, name: str) -> None:
        """Do with a pod what `--then` says, and end its meter; a failure is reported.

        A rented pod that stays up is named with its price, and stays metered. What it leaves of its
        share goes to the others.
        """
        is_billed = not self._release(name)
        self._shares.finish(name, is_billed=is_billed)

    def lose(self, name: str) -> None:
        """End the meter of a pod that is gone; its share goes to the others."""
        self.budget.close(name)
        self._shares.finish(name, is_billed=False)

    def _release(self, name: str) -> bool:
        """Return whether a pod costs nothing any more."""
        if self.plan.then is not None:
            try:
                with self._one_at_a_time, self.output.paused():
                    self._end(name, self.plan.then)
            except MoolaError as err:
                why = behind_pod(name, str(err))
                click.echo(f"pod {name} is still running, and billed if rented; {why}", err=True)
                return False
        else:
            with self.app.for_pod(name) as one:
                if one.pod.provider.is_paid:
                    click.echo(
                        f"pod {name} is still running and still billed; stop the billing with: "
                        f"{one.pod.command} stop",
                        err=True,
                    )
                    return False
        self.budget.close(name)
        return True

    def _end(self, name: str, verb: str) -> None:
        """Stop or remove a pod once everything on it has a verified copy here."""
        from moola_remote.cli.safety import require_verified_copies

        with self.app.for_pod(name) as one:
            require_verified_copies(one, verb)
            one.pod.close()
            if verb == "stop":
                one.pod.provider.stop()
            else:
                one.pod.provider.down(remove_data=True)
        click.echo(f"pod {name}: {'stopped' if verb == 'stop' else 'removed'}", err=True)
