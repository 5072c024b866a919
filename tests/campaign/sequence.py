"""A random sequence of commands, jobs and faults; after each step what DESIGN.md promises holds.

What is right is not asked of the product: jobs note their own start, files are hashed here, and the
pod's folder is read before a command that may delete from it. Real processes differ in time from
one go to the next, so that a seed repeats what was asked for, not each moment of it; hypothesis'
state machine, which needs that, gave up here.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from tests.campaign.machine import Disk, Machine
from tests.campaign.world import Done, Laptop, World, hashes
from tests.support.pods import wait_until

Rules: TypeAlias = "Mapping[Callable[[Sequence], None], int]"


class Sequence:
    """One sequence at a machine.

    Args:
        machine: the pod.
        seed: decides every step.
        rules: each with its weight.

    Attributes:
        rng: every choice of a rule is its.
        world: where it happens.
        steps: what was done, a line each.
        counts: of commands, runs and faults.
        begun: runs that a command has reported as started.
        stopped: runs that were cancelled, killed or damaged: their job need not have run.
        damaged: runs whose files on the pod are not what the agent wrote.
    """

    def __init__(self, machine: Machine, seed: int, rules: Rules) -> None:
        self.rng = random.Random(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="campaign-"))
        self.world = World(self.folder / "w", machine)
        self.steps: list[str] = []
        self.counts: Counter[str] = Counter()
        self.begun: set[str] = set()
        self.stopped: set[str] = set()
        self.damaged: set[str] = set()
        self._full: str | None = None
        self._rules = rules

    def live(self, num_steps: int) -> None:
        """Take so many steps.

        Raises:
            AssertionError: a promise is broken.
        """
        try:
            for rule in self.rng.choices(
                list(self._rules), list(self._rules.values()), k=num_steps
            ):
                rule(self)
                self._check()
            self._conclude()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)

    # ---- what holds

    def _check(self) -> None:
        """Hold what must be true after each step."""
        twice = [run_id for run_id, number in self.world.executions().items() if number > 1]
        assert not twice, f"ran more than once: {twice}"
        for folder in (self.world.pod.root / "code").glob("[0-9a-f]*"):
            record = folder.with_name(f"{folder.name}.json")
            # One without a list was cut off between the last two steps of its seal, and is no tree.
            if folder.is_dir() and record.exists():
                listed = json.loads(record.read_bytes())["files"]
                sealed = {one["path"]: one["sha256"] for one in listed if one["mode"] != "040000"}
                assert dict(hashes(folder)) == sealed, f"{folder.name} is not as it was sealed"

    def _conclude(self) -> None:
        """Let all runs end: whatever a command said was started has run once."""
        self.let_go()
        for run_id in self.world.runs():
            wait_until(partial(self._has_ended, run_id), timeout_s=60)
        ran = self.world.executions()
        for run_id in self.begun - self.stopped:
            if ran[run_id] != 1:  # a full disk may keep it from starting, which its state says
                state = self.world.pod.stored(run_id)
                why = str(state.get("reason"))
                assert (ran[run_id], why[:22]) == (0, "could not be started: "), state

    def _has_ended(self, run_id: str) -> bool:
        if run_id in self.world.ended() or run_id in self.damaged:
            return True
        self.world.pod.ask("state", run_id)  # wakes what has lost its supervisor
        return False

    def check_saved(self, laptop: Laptop, run_id: str, outputs: dict[str, str]) -> None:
        """Hold that each output of a run is here as it is on the pod."""
        here = dict(hashes(laptop.results / run_id))
        lost = [name for name, digest in outputs.items() if here.get(name) != digest]
        assert not lost, f"{run_id}: not here, or other than on the pod: {lost[:5]}"

    def expect(self, done: Done, *codes: int | None) -> bool:
        """Hold how a command ended, unless a disk is full; return whether it ended so.

        On a full disk it may be refused, in one line that names the disk.
        """
        if self._full is not None and done.code not in codes:
            *_, last = done.err.splitlines() or [""]
            words = ("space", "full", "room", "quota", "GB free")
            assert last.startswith("error: "), (self._full, done)
            assert any(word in last for word in words), (self._full, done)
            return False
        assert done.code in codes, (done.code, done.err)
        return True

    # ---- what rules are made of

    def laptop(self) -> Laptop:
        """One of the two."""
        return self.rng.choice(self.world.laptops)

    def run(self, laptop: Laptop, *words: str) -> Done:
        """A command to its end."""
        return self.noted(laptop.run(*words))

    def noted(self, done: Done) -> Done:
        """A command, written down; none ends with an internal error.

        Raises:
            AssertionError: one does.
        """
        self.counts["commands"] += 1
        self.steps.append(f"{' '.join(done.words)} -> {done.code} {done.err.strip()[-300:]}")
        assert done.code != 1, f"an internal error of {done.words}: {done.err}"
        assert "Traceback" not in done.err, done.err
        return done

    def killed(self, *words: str) -> Done:
        """A command that is killed at some moment, unless it has ended by then."""
        self.counts["faults"] += 1
        return self.noted(self.laptop().killed(self.rng.uniform(0.05, 1.5), *words))

    def cut(self, *words: str) -> Done:
        """A command whose line is reset at some moment, now and then by the pod's power."""
        laptop = self.laptop()
        started = laptop.start(*words)
        time.sleep(self.rng.uniform(0.05, 1.5))
        if self.rng.random() < 0.2:
            self.reboot()
        else:
            self.world.machine.drop()
            self.fault("every connection is reset")
        return self.noted(laptop.end(started, words))

    def reboot(self) -> None:
        """Cut the pod's power: what has not ended need not have run."""
        unfinished = set(self.world.runs()) - set(self.world.ended())
        self.world.reboot()
        self.stopped |= unfinished | set(self.world.runs()) - set(self.world.ended())
        self.fault("the pod is rebooted")

    def let_go(self) -> None:
        """Let the jobs end that wait."""
        (self.world.folder / "go").touch()

    def fault(self, what: str, **counted: Any) -> None:
        """Write a fault down."""
        self.counts["faults"] += 1
        self.counts.update(counted)
        self.steps.append(what)

    @contextmanager
    def full(self, disk: Disk, name: str) -> Iterator[None]:
        """Let a disk be full, or nearly so."""
        room = self.rng.choice((0, 0, 4096, 40_000))
        disk.fill(room)
        self._full = name
        self.fault(f"the disk of {name} has {room} bytes left")
        try:
            yield
        finally:
            disk.free()
            self._full = None
            self.steps.append(f"the disk of {name} has room again")
