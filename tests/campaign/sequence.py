"""A random sequence of commands, jobs and faults; after each step what DESIGN.md promises holds.

What is right is not asked of the product: jobs note their own start, files are hashed here, and the
pod's folder is read before a command that may delete from it. Real processes differ in time from
one go to the next, so that a seed repeats what was asked for, not each moment of it; hypothesis'
state machine, which needs that, gave up here.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from moola_remote.ssh.endpoint import Endpoint
from tests.campaign.world import Done, Laptop, World, hashes
from tests.support.pods import wait_until

BEHAVIOURS = (
    "plain", "workdir", "names", "links", "many", "large", "daemon", "wait", "fail",
)  # fmt: skip
# How a command may end that a fault was done to: killed, well, unreachable, its transfer refused.
CUT = {None, 0, 11, 15}
WRONG_STATES = (b"{", b"", b"[]", b'{"run_id": 3}')
# What a laptop keeps below its state folder.
KEPT = ("journals/*/*/log", "journals/*/*/*.json", "snapshots/**/*")


class Sequence:
    """One sequence at a server.

    Args:
        endpoint: the server.
        seed: decides every step.

    Attributes:
        steps: what was done, a line each.
        counts: of commands, runs and faults.
    """

    def __init__(self, endpoint: Endpoint, seed: int) -> None:
        self.rng = random.Random(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="campaign-"))
        self.world = World(self.folder / "w", endpoint)
        self.steps: list[str] = []
        self.counts: Counter[str] = Counter()
        self._begun: set[str] = set()  # a command has printed it
        self._stopped: set[str] = set()  # cancelled or damaged: its job need not have run
        self._damaged: set[str] = set()

    def live(self, num_steps: int) -> None:
        """Take so many steps.

        Raises:
            AssertionError: a promise is broken.
        """
        rules: dict[Callable[[], None], int] = {
            self._start: 4,
            self._start_and_be_killed: 1,
            self._start_over_a_line_that_is_cut: 1,
            self._fetch: 3,
            self._fetch_and_be_stopped: 2,
            self._clean: 2,
            self._logs: 2,
            self._list: 1,
            self._cancel: 1,
            self._let_go: 1,
            self._kill_on_the_pod: 1,
            self._damage_a_state: 1,
            self._damage_a_laptop: 1,
            self._restore_an_old_state: 1,
        }
        try:
            for rule in self.rng.choices(list(rules), list(rules.values()), k=num_steps):
                rule()
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
            if folder.is_dir():
                listed = json.loads(folder.with_name(f"{folder.name}.json").read_bytes())["files"]
                sealed = {one["path"]: one["sha256"] for one in listed if one["mode"] != "040000"}
                assert dict(hashes(folder)) == sealed, f"{folder.name} is not as it was sealed"

    def _conclude(self) -> None:
        """Let all runs end: whatever a command said was started has run once."""
        self._let_go()
        for run_id in self.world.runs():
            wait_until(partial(self._has_ended, run_id), timeout_s=60)
        ran = self.world.executions()
        for run_id in self._begun - self._stopped:
            assert ran[run_id] == 1, f"{run_id} was started, and ran {ran[run_id]} times"

    def _has_ended(self, run_id: str) -> bool:
        if run_id in self.world.ended() or run_id in self._damaged:
            return True
        self.world.pod.ask("state", run_id)  # wakes what has lost its supervisor
        return False

    def _check_saved(self, laptop: Laptop, run_id: str, outputs: dict[str, str]) -> None:
        here = dict(hashes(laptop.results / run_id))
        lost = [name for name, digest in outputs.items() if here.get(name) != digest]
        assert not lost, f"{run_id}: not here, or other than on the pod: {lost[:5]}"

    # ---- commands

    def _laptop(self) -> Laptop:
        return self.rng.choice(self.world.laptops)

    def _run(self, laptop: Laptop, *words: str) -> Done:
        return self._noted(laptop.run(*words))

    def _noted(self, done: Done) -> Done:
        self.counts["commands"] += 1
        self.steps.append(f"{' '.join(done.words)} -> {done.code} {done.err.strip()[-300:]}")
        assert done.code != 1, f"an internal error of {done.words}: {done.err}"
        assert "Traceback" not in done.err, done.err
        return done

    def _killed(self, *words: str) -> None:
        self.counts["faults"] += 1
        self._noted(self._laptop().killed(self.rng.uniform(0.05, 1.5), *words))

    def _cut(self, *words: str) -> Done:
        laptop = self._laptop()
        started = laptop.start(*words)
        time.sleep(self.rng.uniform(0.05, 1.5))
        self.world.drop()
        self.counts["faults"] += 1
        return self._noted(laptop.end(started, words))

    def _job(self) -> tuple[str, ...]:
        self.counts["runs"] += 1
        job = ("python", "job.py", str(self.world.folder), self.rng.choice(BEHAVIOURS))
        return ("run", "--detach", "--", *job)

    def _start(self) -> None:
        done = self._run(self._laptop(), *self._job())
        assert done.code == 0, done.err
        self._begun.add(done.out.decode().split()[-1])

    def _start_and_be_killed(self) -> None:
        self._killed(*self._job())

    def _start_over_a_line_that_is_cut(self) -> None:
        done = self._cut(*self._job())
        assert done.code in CUT, (done.code, done.err)
        if done.code == 0:
            self._begun.add(done.out.decode().split()[-1])

    def _fetch(self) -> None:
        if ended := self.world.ended():
            run_id, laptop = self.rng.choice(ended), self._laptop()
            done = self._run(laptop, "fetch", "all", run_id)
            if run_id not in self._damaged:
                assert done.code == (15 if "leads out" in done.err else 0), (done.code, done.err)
                self._check_saved(laptop, run_id, self.world.outputs(run_id))

    def _fetch_and_be_stopped(self) -> None:
        if ended := self.world.ended():
            words = ("fetch", "all", self.rng.choice(ended))
            if self.rng.random() < 0.5:
                self._killed(*words)
                return
            done = self._cut(*words)
            assert done.code in CUT or words[-1] in self._damaged, (done.code, done.err)

    def _clean(self) -> None:
        runs, laptop = self.world.runs(), self._laptop()
        before = {run_id: self.world.outputs(run_id) for run_id in runs}
        some = [self.rng.choice(runs)] if runs and self.rng.random() < 0.5 else []
        done = self._run(laptop, "clean", "--yes", *some)
        assert done.code in (0, 10, 14), (done.code, done.err)
        for run_id in set(before) - set(self.world.runs()):
            self._check_saved(laptop, run_id, before[run_id])

    def _logs(self) -> None:
        if ended := self.world.ended():
            run_id = self.rng.choice(ended)
            done = self._run(self._laptop(), "logs", run_id)
            if run_id not in self._damaged:
                assert done.code in (0, 20, 21, 22), (done.code, done.err)
                log = self.world.pod.folder(run_id) / "log"
                content = log.read_bytes() if log.exists() else b""
                assert done.out == content, f"{run_id}: the log here is another than the pod's"

    def _list(self) -> None:
        done = self._run(self._laptop(), "--json", "runs")
        assert done.code == 0, done.err
        listed = {json.loads(line)["run_id"] for line in done.out.splitlines()}
        assert set(self.world.runs()) <= listed

    def _cancel(self) -> None:
        if runs := self.world.runs():
            run_id = self.rng.choice(runs)
            self._stopped.add(run_id)
            done = self._run(self._laptop(), "cancel", run_id)
            assert run_id in self._damaged or done.code in (0, 10, 21), (done.code, done.err)

    def _let_go(self) -> None:
        (self.world.folder / "go").touch()

    # ---- faults

    def _fault(self, what: str) -> None:
        self.counts["faults"] += 1
        self.steps.append(what)

    def _kill_on_the_pod(self) -> None:
        running = [run_id for run_id in self.world.runs() if self.world.state(run_id) == "RUNNING"]
        whom = self.rng.choice(("supervisor", "keeper", "job", "supervisor keeper"))
        if running:
            run_id = self.rng.choice(running)
            # It may end meanwhile.
            with contextlib.suppress(AssertionError, OSError, ValueError, KeyError, TypeError):
                self.world.pod.kill(run_id, *whom.split())
            self._fault(f"kill -9 of {whom} of {run_id}")

    def _damage_a_state(self) -> None:
        content = self.rng.choice(WRONG_STATES)
        if ended := self.world.ended():
            run_id = self.rng.choice(ended)
            (self.world.pod.folder(run_id) / "state.json").write_bytes(content)
            self._damaged.add(run_id)
            self._stopped.add(run_id)
            self._fault(f"state.json of {run_id} is {content!r}")

    def _damage_a_laptop(self) -> None:
        """Leave a power cut's zeros in what a laptop keeps."""
        state, kind = self._laptop().state, self.rng.choice(KEPT)
        if found := [path for path in sorted(state.glob(kind)) if path.is_file()]:
            path = self.rng.choice(found)
            content = path.read_bytes()
            zeros = bytes(min(200, len(content)))
            is_log = path.name == "log"
            path.write_bytes(content[: len(content) - len(zeros)] + zeros if is_log else b"")
            self._fault(f"zeros in {path.relative_to(state)}")

    def _restore_an_old_state(self) -> None:
        """Put a laptop's state folder back to what it was when this was called before."""
        state = self._laptop().state
        kept = state.with_name("state.kept")
        if kept.exists():
            shutil.rmtree(state, ignore_errors=True)
            kept.rename(state)
            self._fault("an old state folder is restored")
        elif state.exists():
            shutil.copytree(state, kept, symlinks=True)
