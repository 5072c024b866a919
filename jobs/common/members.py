"""Fitting the models of a run: one after the other, or networks beside the rest.

What a run writes and prints is in the order of its models either way, and so are its bits: each
model draws from generators of its own seed.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load, save

from jobs.common import console, run_event
from jobs.common.checkpoints import newest_checkpoint
from jobs.common.fitting import Loaded, begin_run
from jobs.common.forked import Forked, can_fork, leave_orphan
from jobs.common.reporting import whole_epoch
from jobs.common.signals import StopRequest
from jobs.common.weighing import members
from moola_core.config.sections import Recipe
from moola_core.errors import ProcessesError
from moola_core.inference.ensemble import trained_recipes
from moola_core.io.event_log import Events
from moola_core.plots.style import import_matplotlib
from moola_core.training.checkpoint import Checkpoint, has_checkpoint
from moola_core.training.loop import fit
from moola_core.training.state import Report, Run, Stopped, checkpoint_of, restore

WAIT_S = 0.1  # between looks at whether the job was asked to stop


@dataclass(frozen=True)
class Fitting:
    """The models of a run, to be fitted.

    Attributes:
        source: the folder to resume from, or None.
        events: where those of the run go.
    """

    loaded: Loaded
    run_dir: Path
    source: Path | None
    stop: StopRequest
    events: Events

    def begin(self, recipe: Recipe) -> Run:
        """Return a run of the next model, with what it reports to and where checkpoints go."""
        run = begin_run(self.loaded, recipe)
        run.checkpoints = self.run_dir / self._folder(run)
        run.is_stopping = lambda: self.stop.is_requested
        run.report = _reporter(self.events, run)
        return run

    def begin_first(self, recipe: Recipe) -> Run:
        """Return the same of the first model, and report what is about to be trained."""
        run = self.begin(recipe)
        self.events.write("run", **run_event.run_event(self.loaded))
        console.print_header(self.loaded)
        return run

    def fit(self, run: Run) -> None:
        """Resume `run` if that was asked for, and train it to its last epoch.

        Raises:
            Stopped: the job was asked to stop.
        """
        if self.source is not None:
            _resume(run, self.events, self.source / self._folder(run, here=False))
        self.stop.is_training = True
        try:
            if not run.is_stopping():
                fit(run)
        except Stopped:
            at = f"epoch {run.progress.epoch}, batch {run.progress.batch}"
            raise Stopped(f"stopped after {at}; checkpoint written") from None
        self.stop.is_training = False
        if self.stop.is_requested:
            raise Stopped

    def _folder(self, run: Run, *, here: bool = True) -> Path:
        """Return where checkpoints are in the run's folder; where to look for older ones."""
        if not _is_of_several(self.loaded.recipe):
            return Path("checkpoints") if here else Path()
        return Path("checkpoints", f"seed-{run.recipe.training.seed}")


def fit_members(fitting: Fitting) -> None:
    """Fit every model; networks beside their scout and columns, where there is a core for them.

    Raises:
        Stopped: the job was asked to stop; its text says where, if a model was being trained.
    """
    recipe = fitting.loaded.recipe
    networks = range(1, 1 + recipe.ensemble.num_networks)
    if recipe.ensemble.has_scout and can_fork(fitting.loaded.device, recipe.training.threads):
        _fit_side_by_side(fitting, networks)
        return
    for index, one in enumerate(members(fitting.loaded)):
        fitting.fit(fitting.begin(one) if index else fitting.begin_first(one))


def _fit_side_by_side(fitting: Fitting, networks: range) -> None:
    ahead = _Ahead(fitting, networks)
    try:
        for index, one in enumerate(members(fitting.loaded)):
            if index == 0:
                ahead.fit_before(fitting.begin_first(one))
            elif index in networks:
                ahead.show(index, fitting.begin(one))
            else:
                ahead.fit_meanwhile(one)
        import_matplotlib()  # half a second, which there is here as a rule
        ahead.wait()
    finally:
        ahead.end()


class _Ahead:
    """Networks that are trained in a process of their own.

    Args:
        fitting: of all models.
        networks: their places among all.
    """

    def __init__(self, fitting: Fitting, networks: range) -> None:
        self._fitting, self._networks, self._out = fitting, networks, sys.stdout
        self._runs: dict[int, Run] = {}
        self._fitted: dict[int, Checkpoint] = {}
        self._stopped = ""
        # what networks reported before their turn, and columns before theirs
        self._early: list[Any] = []
        self._kept: list[Any] = []
        self._forked = Forked(self._work, "the networks")

    def fit_before(self, run: Run) -> None:
        """Fit the scout, while what networks report waits."""
        run.is_stopping = self._is_stopping
        self._fitting.fit(run)

    def show(self, index: int, run: Run) -> None:
        """Note the `run` that is to be as that of the process, whose reports come out from now."""
        self._runs[index] = run
        self._look()

    def fit_meanwhile(self, recipe: Recipe) -> None:
        """Fit columns; what they report waits."""
        keep = self._kept.append
        later = replace(self._fitting, events=_Sent(keep, self._fitting.events.epochs))
        run = later.begin(recipe)
        run.is_stopping = self._is_stopping
        with contextlib.redirect_stdout(_Lines(keep)):
            later.fit(run)

    def wait(self) -> None:
        """Wait for the networks, bring them here, and report what has waited for them.

        Raises:
            Stopped: the job was asked to stop.
        """
        stop, is_asked = self._fitting.stop, False
        stop.is_training = True
        while not self._forked.is_done:
            if stop.is_requested and not is_asked:
                is_asked = True
                self._forked.ask_to_end()
            self._look(WAIT_S)
        stop.is_training = False
        if stop.is_requested:
            raise Stopped(self._stopped)
        for index, run in self._runs.items():
            restore(run, self._fitted[index])  # as `fit` left it, the head of types fitted as well
        for message in self._kept:
            self._replay(message)

    def end(self) -> None:
        """End the process, if it has not ended; it writes a checkpoint first."""
        self._forked.end()

    def _work(self, send: Callable[[Any], None]) -> None:
        """Fit the networks, in the process of their own."""
        parent, fitting = os.getppid(), self._fitting
        fitting = replace(fitting, events=_Sent(send, fitting.events.epochs))

        def is_stopping() -> bool:
            leave_orphan(parent)
            return fitting.stop.is_requested

        with contextlib.redirect_stdout(_Lines(send)):
            for index, one in enumerate(trained_recipes(fitting.loaded.recipe)):
                if index >= self._networks.stop:
                    break
                run = fitting.begin(one)
                if index not in self._networks:
                    continue
                run.is_stopping = is_stopping
                try:
                    fitting.fit(run)
                except Stopped as stopped:
                    send(("stopped", str(stopped)))
                    return
                said = checkpoint_of(run)
                send(("fitted", (index, said.name, save(said.tensors), said.state)))

    def _is_stopping(self) -> bool:
        self._look()
        return self._fitting.stop.is_requested

    def _look(self, seconds: float = 0.0) -> None:
        """Take what the process has sent; report it if it is its turn."""
        try:
            self._early += self._forked.messages(seconds)
        except ProcessesError:
            if not self._fitting.stop.is_requested:  # else it left as it was asked to
                raise
        if self._runs:
            for message in self._early:
                self._replay(message)
            self._early.clear()

    def _replay(self, message: tuple[str, Any]) -> None:
        kind, what = message
        if kind == "text":
            self._out.write(what)
            self._out.flush()
        elif kind == "event":
            self._fitting.events.write(what[0], **what[1])
        elif kind == "stopped":
            self._stopped = what
        else:
            index, name, tensors, state = what
            self._fitted[index] = Checkpoint(name, load(tensors), state)


class _Sent:
    """Events as messages."""

    def __init__(self, send: Callable[[Any], None], epochs: frozenset[int]) -> None:
        self._send, self.epochs = send, epochs

    def write(self, kind: str, **keys: Any) -> None:
        """Send one event."""
        self._send(("event", (kind, keys)))


class _Lines(io.TextIOBase):
    """Printed text as messages."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send

    def write(self, text: str, /) -> int:
        """Send some text."""
        self._send(("text", text))
        return len(text)


def _reporter(events: Events, run: Run) -> Report:
    """Return a function that writes and prints what `run` reports."""
    is_of_several = _is_of_several(run.recipe)

    def report(kind: str, keys: dict[str, Any]) -> None:
        if kind == "epoch":
            keys = whole_epoch(run, keys)
            print(console.epoch_line(keys), flush=True)
        elif is_of_several:
            keys = {**keys, "path": f"checkpoints/{keys['path']}"}
            keys["epoch"] += run.epochs_before
        events.write(kind, **keys)

    return report


def _is_of_several(recipe: Recipe) -> bool:
    return len(trained_recipes(recipe)) > 1


def _resume(run: Run, events: Events, source: Path) -> None:
    """Resume from the latest complete checkpoint; a later model of an ensemble may have none."""
    if _is_of_several(run.recipe) and not has_checkpoint(source):
        return
    restore(run, newest_checkpoint(source, run.identity, events))
    print(f"resuming after epoch {run.progress.epoch}, batch {run.progress.batch}")
    for entry in run.progress.history:
        whole = whole_epoch(run, entry)
        if whole["epoch"] not in events.epochs:
            events.write("epoch", **whole)
