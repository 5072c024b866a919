"""The coordinator against random orders of ends, losses and deaths, without a pod."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from moola_remote.errors import JobCancelledError, JobFailedError, LimitError, UnreachableError
from moola_remote.sweep.coordinator import Coordinator
from moola_remote.sweep.packs import take_pack
from moola_remote.sweep.plan import Plan
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import Job, Score, Trial
from tests.remote.sweep.test_study import plan_of

PODS = ("a", "b", "c")


class Heard:
    """A watcher that records what is reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.changes: list[tuple[int, str]] = []

    def on_begin(self, trials: Sequence[Trial]) -> None: ...

    def on_trial(self, trial: Trial, what: str) -> None:
        self.changes.append((trial.number, what))

    def on_step(self, trial: Trial, step: int, value: float) -> None: ...

    def on_note(self, text: str) -> None:
        self.notes.append(text)


class World:
    """Pods and a laptop that may die at any moment; it checks what must never be."""

    def __init__(self, journal: Path, plan: Plan, seed: int) -> None:
        self.journal, self.plan, self.dice = journal, plan, random.Random(seed)
        self.alive: dict[str, Job] = {}  # runs that go on, whoever watches
        self.ended: dict[str, Job] = {}  # runs that ended well, not reported yet
        self.watched: list[Job] = []
        self.succeeded: dict[int, int] = {}
        self.pods = list(PODS)
        self.begin()

    def begin(self) -> None:
        """Start the laptop's part, from the journal."""
        study = Study(self.journal, self.plan, is_writing=True)
        self.coordinator = Coordinator(study, self.plan, Heard())
        self.watched = []
        for pod in self.pods:
            self.coordinator.join(pod)

    def step(self) -> None:
        self.dice.choices(
            [self.take, self.end, self.lose, self.die, self.lose_pod], [8, 8, 2, 1, 0.2]
        )[0]()

    def take(self) -> None:
        pod = self.dice.choice(self.pods)
        job = self.coordinator.poll(pod, is_spare=self.dice.random() < 0.3)
        if job is None:
            return
        run_id, number = job.attempt.run_id, job.trial.number
        assert job.attempt.pod == pod
        if run_id not in self.alive and run_id not in self.ended:
            # It is started now, once: never beside another run of its trial.
            assert all(other.trial.number != number for other in self.alive.values())
            assert all(other.trial.number != number for other in self.ended.values())
            assert number not in self.succeeded
            self.alive[run_id] = job
        self.watched.append(job)

    def end(self) -> None:
        """End a run well; its worker reports that, if there is one."""
        if self.alive:
            # by number: an id begins with the time, and a seed is to say what happens
            run_id = self.dice.choice(
                sorted(self.alive, key=lambda one: self.alive[one].trial.number)
            )
            self.ended[run_id] = self.alive.pop(run_id)
        for job in [job for job in self.watched if job.attempt.run_id in self.ended]:
            self.watched.remove(job)
            del self.ended[job.attempt.run_id]
            number = job.trial.number
            self.succeeded[number] = self.succeeded.get(number, 0) + 1
            self.coordinator.complete(job, Score(self.dice.random()), 1.0)

    def lose(self) -> None:
        """The machine ends a run that is watched."""
        found = [job for job in self.watched if job.attempt.run_id in self.alive]
        if found:
            job = self.dice.choice(found)
            self.watched.remove(job)
            del self.alive[job.attempt.run_id]
            self.coordinator.again(job, "killed by SIGKILL")

    def die(self) -> None:
        """The laptop dies, perhaps in the middle of a line, and comes back."""
        content = self.journal.read_bytes()
        if self.dice.random() < 0.5:
            self.journal.write_bytes(content + b'{"op_code": 5, "wor')
        self.begin()

    def lose_pod(self) -> None:
        """A pod is gone with all that it had."""
        if len(self.pods) == 1:
            return
        pod = self.pods.pop(self.dice.randrange(len(self.pods)))
        for runs in (self.alive, self.ended):
            for run_id in [one for one, job in runs.items() if job.attempt.pod == pod]:
                del runs[run_id]
        self.watched = [job for job in self.watched if job.attempt.pod != pod]
        gone = UnreachableError(f"pod {pod}: gone")
        self.coordinator.lose_pod(pod, gone, is_gone=True)
        self.gone = (pod, gone)

    def finish(self) -> None:
        """Let everything come to its end, whatever has been lost."""
        lost = set(PODS) - set(self.pods)
        for _ in range(1000):
            if self.coordinator.is_over:
                return
            for pod in sorted(lost):  # after a death of the laptop it learns of it again
                gone = UnreachableError(f"pod {pod}: gone")
                self.coordinator.lose_pod(pod, gone, is_gone=True)
            self.take()
            self.end()
        pytest.fail("it does not end")


@pytest.mark.parametrize("seed", range(40))
def test_each_trial_ends_once_whatever_happens(tmp_path: Path, seed: int) -> None:
    is_static = seed % 4 == 0
    grid = {"spaces": [], "grid": ["size=1,2,3,4", "x=5,6,7"]} if is_static else {}
    world = World(tmp_path / "j", plan_of(trials=12, **grid), seed)
    for _ in range(60):
        world.step()
    world.finish()
    trials = world.coordinator.trials()
    assert [trial.state for trial in trials] == ["complete"] * 12
    assert world.succeeded == dict.fromkeys(range(12), 1)
    run_ids = [attempt.run_id for trial in trials for attempt in trial.attempts]
    assert len(run_ids) == len(set(run_ids))
    world.coordinator.check_end()


def begun(tmp_path: Path, **more: object) -> tuple[Coordinator, Heard]:
    plan, heard = plan_of(**more), Heard()
    coordinator = Coordinator(Study(tmp_path / "j", plan, is_writing=True), plan, heard)
    coordinator.join("a")
    return coordinator, heard


def test_a_pack_is_one_run_and_is_shared_out_among_what_there_is(tmp_path: Path) -> None:
    coordinator, _ = begun(tmp_path, trials=8, pack=4)
    packs = [take_pack(coordinator, "a", 4, 4) for _ in range(3)]
    assert [len(pack) for pack in packs] == [2, 2, 1]  # 8 among 4, then 6, then 4
    run_ids = [{job.attempt.run_id for job in pack} for pack in packs]
    assert [len(ids) for ids in run_ids] == [1, 1, 1]
    assert len(set.union(*run_ids)) == 3
    assert all(job.attempt.is_packed for pack in packs for job in pack)
    coordinator.again(packs[0][1], "killed")
    coordinator.complete(packs[0][0], Score(1.0), 1.0)
    assert [job.trial.number for job in take_pack(coordinator, "a", 4, 4)] == [1]


def test_after_a_crash_a_pack_is_found_whole(tmp_path: Path) -> None:
    coordinator, _ = begun(tmp_path, trials=6, pack=3)
    first = take_pack(coordinator, "a", 3, 1)
    coordinator, _ = begun(tmp_path, trials=6, pack=3)
    again = take_pack(coordinator, "a", 3, 1)
    assert [job.trial.number for job in again] == [0, 1, 2]
    assert {job.attempt for job in again} == {job.attempt for job in first}
    assert not any(job.is_new for job in again)
    assert [job.trial.number for job in take_pack(coordinator, "a", 3, 1)] == [3, 4, 5]


def test_what_is_begun_again_in_the_same_second_is_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["3f2a", "3f2a", "0b1c"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
    coordinator, _ = begun(tmp_path, trials=1)
    first = coordinator.take("a")
    assert first
    coordinator.again(first, "killed by SIGKILL")
    second = coordinator.take("a")
    assert second
    assert first.attempt.run_id != second.attempt.run_id


def test_the_first_three_that_fail_end_it(tmp_path: Path) -> None:
    coordinator, _ = begun(tmp_path, trials=9)
    for _ in range(3):
        job = coordinator.take("a")
        assert job
        coordinator.failed(job, "exit code 3", 1.0)
    assert coordinator.take("a") is None
    with pytest.raises(JobFailedError, match="3 of 3 trials failed"):
        coordinator.check_end()


def test_one_that_fails_ends_nothing(tmp_path: Path) -> None:
    coordinator, _ = begun(tmp_path, trials=4)
    for number in range(4):
        job = coordinator.take("a")
        assert job
        if number == 1:
            coordinator.failed(job, "exit code 3", 1.0)
        else:
            coordinator.complete(job, Score(0.5), 1.0)
    assert coordinator.take("a") is None
    coordinator.check_end()


def test_a_pod_out_of_reach_keeps_its_trials(tmp_path: Path) -> None:
    coordinator, heard = begun(tmp_path, trials=1)
    job = coordinator.take("a")
    assert job
    away = UnreachableError("pod a: no route")
    coordinator.lose_pod("a", away, is_gone=False)
    assert coordinator.take("b") is None
    assert heard.notes == ["pod a is no longer used: no route"]
    assert coordinator.trials()[0].state == "running"
    with pytest.raises(UnreachableError):
        coordinator.check_end()


def test_a_spare_worker_leaves_the_last_trials_to_others(tmp_path: Path) -> None:
    coordinator, _ = begun(tmp_path, trials=3)
    assert coordinator.poll("a")
    assert coordinator.poll("a", is_spare=True)
    assert coordinator.poll("a", is_spare=True) is None
    assert coordinator.poll("a")


def test_a_wide_interval_is_reported_once(tmp_path: Path) -> None:
    coordinator, heard = begun(tmp_path, trials=3)
    for _ in range(3):
        job = coordinator.take("a")
        assert job
        coordinator.complete(job, Score(0.65, 0.48, 0.81), 1.0)
    assert len(heard.notes) == 1
    assert "0.33 wide" in heard.notes[0]


def test_a_pruned_trial_is_recorded_as_such_and_a_cancelled_one_as_failed(tmp_path: Path) -> None:
    coordinator, _ = begun(tmp_path, trials=8, early="median")
    for _ in range(5):
        job = coordinator.take("a")
        assert job
        for step in (1, 2, 3):
            assert not coordinator.report(job, step, 0.5)
        coordinator.complete(job, Score(0.5), 1.0)
    bad, other = coordinator.take("a"), coordinator.take("a")
    assert bad
    assert other
    assert coordinator.report(bad, 1, 0.1)
    coordinator.cancelled(bad, "cancelled (exit code 143)", 1.0)
    coordinator.cancelled(other, "cancelled (exit code 143)", 1.0)
    states = {trial.number: (trial.state, trial.why) for trial in coordinator.trials()}
    assert states[bad.trial.number] == ("pruned", "pruned at 1")
    assert states[other.trial.number] == ("failed", "cancelled (exit code 143)")


def test_what_is_cancelled_with_the_sweep_is_begun_again_when_that_is_resumed(
    tmp_path: Path,
) -> None:
    plan, over = plan_of(trials=2), list[JobCancelledError]()
    study = Study(tmp_path / "j", plan, is_writing=True)
    coordinator = Coordinator(study, plan, Heard(), may_ask=lambda: next(iter(over), None))
    coordinator.join("a")
    job = coordinator.take("a")
    assert job
    over.append(JobCancelledError("sweep s: cancelled"))
    coordinator.cancelled(job, "cancelled (exit code 143)", 1.0)
    assert coordinator.take("a") is None
    with pytest.raises(JobCancelledError):
        coordinator.check_end()
    assert coordinator.trials()[0].is_cancelled

    resumed = Coordinator(Study(tmp_path / "j", plan, is_writing=True), plan, Heard())
    resumed.join("a")
    known = resumed.take("a")
    assert known
    assert known.attempt == job.attempt  # its run is asked first: it may have reached its end
    resumed.cancelled(known, "cancelled (exit code 143)", 1.0)
    again = resumed.take("a")
    assert again
    assert again.trial.number == 0
    assert again.attempt != job.attempt
    assert again.earlier == job.attempt
    resumed.cancelled(again, "cancelled (exit code 143)", 1.0)  # by the user, and this run alone
    assert resumed.trials()[0].state == "failed"


def test_no_trial_is_begun_past_a_limit(tmp_path: Path) -> None:
    plan, heard = plan_of(), Heard()
    limit = LimitError("--max-cost: $1.00 of $1.00 are spent")
    study = Study(tmp_path / "j", plan, is_writing=True)
    coordinator = Coordinator(study, plan, heard, may_ask=lambda: limit)
    coordinator.join("a")
    assert coordinator.take("a") is None
    with pytest.raises(LimitError):
        coordinator.check_end()
