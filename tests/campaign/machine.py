"""Random sequences of commands, jobs and faults; after each step what DESIGN.md promises holds.

What is right is not asked of the product: jobs note their own start, files are hashed here, and the
pod's folder is read before a command that may delete from it.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from moola_remote.ssh.endpoint import Endpoint
from tests.campaign.world import Done, Laptop, World, hashes
from tests.support.pods import wait_until

BEHAVIOURS = (
    "plain", "workdir", "names", "links", "many", "large", "daemon", "wait", "fail",
)  # fmt: skip
# How a command may end that a fault was done to: well, unreachable, or with its transfer refused.
CUT = {None, 0, 11, 15}
WRONG_STATES = (b"{", b"", b"[]", b'{"run_id": 3}')
# What a laptop keeps below its state folder.
KEPT = ("journals/*/*/log", "journals/*/*/*.json", "snapshots/**/*")
laptops = st.integers(0, 1)
moments = st.floats(0.05, 1.5)
picks = st.integers(0, 99)


class Campaign(RuleBasedStateMachine):
    """One sequence. `endpoints` are the servers; each sequence takes the next one in turn."""

    endpoints: list[Endpoint]
    turns = itertools.count()
    counts: ClassVar = {"sequences": 0, "commands": 0, "runs": 0, "faults": 0}

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="campaign-"))
        endpoint = self.endpoints[next(self.turns) % len(self.endpoints)]
        self.world = World(self.folder / "w", endpoint)
        self.begun: set[str] = set()  # a command has printed it
        self.stopped: set[str] = set()  # cancelled or damaged: its job need not have run
        self.damaged: set[str] = set()
        self.counts["sequences"] += 1

    def teardown(self) -> None:
        try:
            (self.world.folder / "go").touch()
            for run_id in self.world.runs():
                wait_until(partial(self._has_ended, run_id), timeout_s=40)
            ran = self.world.executions()
            for run_id in self.begun - self.stopped:
                assert ran[run_id] == 1, f"{run_id} was started, and ran {ran[run_id]} times"
        finally:
            self.world.close()
            shutil.rmtree(self.folder)

    def _has_ended(self, run_id: str) -> bool:
        if run_id in self.world.ended() or run_id in self.damaged:
            return True
        self.world.pod.ask("state", run_id)  # wakes what has lost its supervisor
        return False

    # ---- commands

    def _do(self, number: int, *words: str) -> Done:
        done = self.world.laptops[number].run(*words)
        return self._noted(done)

    def _noted(self, done: Done) -> Done:
        self.counts["commands"] += 1
        note(f"{' '.join(done.words)} -> {done.code} {done.err.strip().splitlines()[-1:]}")
        assert done.code != 1, f"an internal error of {done.words}: {done.err}"
        assert "Traceback" not in done.err, done.err
        return done

    def _pick(self, number: int, among: list[str]) -> str | None:
        return among[number % len(among)] if among else None

    @rule(laptop=laptops, behaviour=st.sampled_from(BEHAVIOURS))
    def start(self, laptop: int, behaviour: str) -> None:
        """Start a job, and be told its id."""
        done = self._do(laptop, *self._job(behaviour))
        assert done.code == 0, done.err
        self.begun.add(done.out.decode().split()[-1])
        self.counts["runs"] += 1

    def _job(self, behaviour: str) -> tuple[str, ...]:
        job = ("python", "job.py", str(self.world.folder), behaviour)
        return ("run", "--detach", "--", *job)

    @rule(laptop=laptops, behaviour=st.sampled_from(BEHAVIOURS), after_s=moments)
    def start_and_be_killed(self, laptop: int, behaviour: str, after_s: float) -> None:
        """Kill a client that starts a job: it ran once, or not at all."""
        self._noted(self.world.laptops[laptop].killed(after_s, *self._job(behaviour)))
        self.counts["faults"] += 1

    @rule(laptop=laptops, behaviour=st.sampled_from(BEHAVIOURS), after_s=moments)
    def start_over_a_line_that_is_cut(self, laptop: int, behaviour: str, after_s: float) -> None:
        """Reset the connection under a client that starts a job."""
        done = self._cut(laptop, after_s, *self._job(behaviour))
        assert done.code in CUT, (done.code, done.err)
        if done.code == 0:
            self.begun.add(done.out.decode().split()[-1])

    def _cut(self, number: int, after_s: float, *words: str) -> Done:
        laptop = self.world.laptops[number]
        started = laptop.start(*words)
        time.sleep(after_s)
        self.world.drop()
        self.counts["faults"] += 1
        return self._noted(laptop.end(started, words))

    @rule(laptop=laptops, pick=picks)
    def fetch(self, laptop: int, pick: int) -> None:
        """Fetch a run; what is called fetched is here, byte for byte."""
        run_id = self._pick(pick, self.world.ended())
        if run_id is None:
            return
        done = self._do(laptop, "fetch", "all", run_id)
        if run_id in self.damaged:
            return
        assert done.code == (15 if "lead" in done.err else 0), (done.code, done.err)
        self._check_saved(self.world.laptops[laptop], run_id, self.world.outputs(run_id))

    @rule(laptop=laptops, pick=picks, after_s=moments, is_cut=st.booleans())
    def fetch_and_be_stopped(self, laptop: int, pick: int, after_s: float, is_cut: bool) -> None:
        """Kill a client that fetches, or cut its line."""
        run_id = self._pick(pick, self.world.ended())
        if run_id is None:
            return
        words = ("fetch", "all", run_id)
        if is_cut:
            done = self._cut(laptop, after_s, *words)
            assert done.code in CUT or run_id in self.damaged, (done.code, done.err)
            return
        self._noted(self.world.laptops[laptop].killed(after_s, *words))
        self.counts["faults"] += 1

    def _check_saved(self, laptop: Laptop, run_id: str, outputs: dict[str, str]) -> None:
        here = dict(hashes(laptop.results / run_id))
        lost = [name for name, digest in outputs.items() if here.get(name) != digest]
        assert not lost, f"{run_id}: not here, or other than on the pod: {lost[:5]}"

    @rule(laptop=laptops, pick=picks, is_one=st.booleans())
    def clean(self, laptop: int, pick: int, is_one: bool) -> None:
        """Clean; whatever is gone has a copy on the laptop that removed it."""
        before = {run_id: self.world.outputs(run_id) for run_id in self.world.runs()}
        one = self._pick(pick, self.world.runs()) if is_one else None
        done = self._do(laptop, "clean", "--yes", *([one] if one else []))
        assert done.code in (0, 14), (done.code, done.err)
        gone = set(before) - set(self.world.runs())
        for run_id in gone:
            self._check_saved(self.world.laptops[laptop], run_id, before[run_id])
        self.stopped |= gone - set(self.world.executions())

    @rule(laptop=laptops, pick=picks)
    def logs(self, laptop: int, pick: int) -> None:
        """Show a log: the pod's, byte for byte."""
        run_id = self._pick(pick, self.world.ended())
        if run_id is None:
            return
        done = self._do(laptop, "logs", run_id)
        if run_id in self.damaged:
            return
        assert done.code in (0, 20, 21, 22), (done.code, done.err)
        log = self.world.pod.folder(run_id) / "log"
        expected = log.read_bytes() if log.exists() else b""
        assert done.out == expected, f"{run_id}: the log here is another than the pod's"

    @rule(laptop=laptops)
    def list_runs(self, laptop: int) -> None:
        """List the runs: every one that is on the pod."""
        done = self._do(laptop, "--json", "runs")
        assert done.code == 0, done.err
        listed = {json.loads(line)["run_id"] for line in done.out.splitlines()}
        assert set(self.world.runs()) <= listed

    @rule(laptop=laptops, pick=picks)
    def cancel(self, laptop: int, pick: int) -> None:
        """Cancel a run; its job does not start afterwards."""
        run_id = self._pick(pick, self.world.runs())
        if run_id is None:
            return
        self.stopped.add(run_id)
        done = self._do(laptop, "cancel", run_id)
        assert run_id in self.damaged or done.code in (0, 10, 21), (done.code, done.err)

    @rule()
    def let_go(self) -> None:
        """Let every job that waits end."""
        (self.world.folder / "go").touch()

    # ---- faults

    @rule(pick=picks, whom=st.sampled_from(("supervisor", "keeper", "job", "supervisor keeper")))
    def kill_on_the_pod(self, pick: int, whom: str) -> None:
        """``kill -9`` of processes of a run."""
        run_id = self._pick(pick, self.world.runs())
        if run_id is None:
            return
        if self.world.state(run_id) == "RUNNING":
            try:
                self.world.pod.kill(run_id, *whom.split())
            except (AssertionError, OSError, ValueError, KeyError, TypeError):
                return  # it has ended meanwhile
            self.counts["faults"] += 1

    @rule(pick=picks, content=st.sampled_from(WRONG_STATES))
    def damage_a_state(self, pick: int, content: bytes) -> None:
        """Spoil a state.json on the pod: it costs that run, and nothing of it."""
        run_id = self._pick(pick, self.world.ended())
        if run_id is None:
            return
        (self.world.pod.folder(run_id) / "state.json").write_bytes(content)
        self.damaged.add(run_id)
        self.stopped.add(run_id)
        self.counts["faults"] += 1

    @rule(laptop=laptops, pick=picks, kind=st.sampled_from(KEPT))
    def damage_a_laptop(self, laptop: int, pick: int, kind: str) -> None:
        """Leave a power cut's zeros in what a laptop keeps."""
        state = self.world.laptops[laptop].state
        found = [path for path in sorted(state.glob(kind)) if path.is_file()]
        if not found:
            return
        path = found[pick % len(found)]
        content = path.read_bytes()
        zeros = bytes(min(200, len(content)))
        path.write_bytes(
            content[: len(content) - len(zeros)] + zeros if path.name == "log" else b""
        )
        self.counts["faults"] += 1

    @rule(laptop=laptops)
    def restore_an_old_state(self, laptop: int) -> None:
        """Put a laptop's state folder back to what it was at the last call of this rule."""
        state = self.world.laptops[laptop].state
        kept = state.with_name("state.kept")
        if kept.exists():
            shutil.rmtree(state, ignore_errors=True)
            kept.rename(state)
            self.counts["faults"] += 1
        elif state.exists():
            shutil.copytree(state, kept, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))

    # ---- what holds after each step

    @invariant()
    def nothing_ran_twice(self) -> None:
        """Each job was started at most once."""
        twice = [run_id for run_id, number in self.world.executions().items() if number > 1]
        assert not twice, f"ran more than once: {twice}"

    @invariant()
    def the_sealed_code_is_as_it_was(self) -> None:
        """Nothing was written into a sealed snapshot."""
        for folder in (self.world.pod.root / "code").glob("[0-9a-f]*"):
            if folder.is_dir():
                listed = json.loads(folder.with_name(f"{folder.name}.json").read_bytes())["files"]
                expected = {one["path"]: one["sha256"] for one in listed if one["mode"] != "040000"}
                assert dict(hashes(folder)) == expected, f"{folder.name} is not as it was sealed"
