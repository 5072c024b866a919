"""What may happen in a sequence: commands of the two laptops, and faults of either side."""

from __future__ import annotations

import json
import shutil
import time

from tests.campaign.sequence import Rules, Sequence

BEHAVIOURS = (
    "plain", "workdir", "names", "links", "many", "large", "daemon", "wait", "fail",
)  # fmt: skip
# How a command may end that a fault was done to: killed, well, unreachable, its transfer refused.
CUT = (None, 0, 11, 15)
WRONG_STATES = (b"{", b"", b"[]", b'{"run_id": 3}')
# What a laptop keeps below its state folder.
KEPT = ("journals/*/*/log", "journals/*/*/*.json", "snapshots/**/*")


# ---- commands


def _job(sequence: Sequence) -> tuple[str, ...]:
    sequence.counts["runs"] += 1
    behaviour = sequence.rng.choice(BEHAVIOURS)
    return ("run", "--detach", "--", "python", "job.py", str(sequence.world.folder), behaviour)


def start(sequence: Sequence) -> None:
    done = sequence.run(sequence.laptop(), *_job(sequence))
    if sequence.expect(done, 0):
        sequence.begun.add(done.out.decode().split()[-1])


def start_and_be_killed(sequence: Sequence) -> None:
    sequence.killed(*_job(sequence))


def start_over_a_line_that_is_cut(sequence: Sequence) -> None:
    done = sequence.cut(*_job(sequence))
    if sequence.expect(done, *CUT) and done.code == 0:
        sequence.begun.add(done.out.decode().split()[-1])


def fetch(sequence: Sequence) -> None:
    if ended := sequence.world.ended():
        run_id, laptop = sequence.rng.choice(ended), sequence.laptop()
        done = sequence.run(laptop, "fetch", "all", run_id)
        if run_id in sequence.damaged:
            return
        if sequence.expect(done, 15 if "leads out" in done.err else 0):
            sequence.check_saved(laptop, run_id, sequence.world.outputs(run_id))


def fetch_and_be_stopped(sequence: Sequence) -> None:
    if ended := sequence.world.ended():
        words = ("fetch", "all", sequence.rng.choice(ended))
        if sequence.rng.random() < 0.5:
            sequence.killed(*words)
            return
        done = sequence.cut(*words)
        if words[-1] not in sequence.damaged:
            sequence.expect(done, *CUT)


def clean(sequence: Sequence) -> None:
    runs, laptop = sequence.world.runs(), sequence.laptop()
    before = {run_id: sequence.world.outputs(run_id) for run_id in runs}
    some = [sequence.rng.choice(runs)] if runs and sequence.rng.random() < 0.5 else []
    sequence.expect(sequence.run(laptop, "clean", "--yes", *some), 0, 10, 14)
    for run_id in set(before) - set(sequence.world.runs()):
        sequence.check_saved(laptop, run_id, before[run_id])


def logs(sequence: Sequence) -> None:
    if ended := sequence.world.ended():
        run_id = sequence.rng.choice(ended)
        done = sequence.run(sequence.laptop(), "logs", run_id)
        if run_id not in sequence.damaged and sequence.expect(done, 0, 20, 21, 22):
            log = sequence.world.pod.folder(run_id) / "log"
            content = log.read_bytes() if log.exists() else b""
            assert done.out == content, f"{run_id}: the log here is another than the pod's"


def list_runs(sequence: Sequence) -> None:
    done = sequence.run(sequence.laptop(), "--json", "runs")
    if sequence.expect(done, 0):
        listed = {json.loads(line)["run_id"] for line in done.out.splitlines()}
        assert set(sequence.world.runs()) <= listed


def cancel(sequence: Sequence) -> None:
    if runs := sequence.world.runs():
        run_id = sequence.rng.choice(runs)
        sequence.stopped.add(run_id)
        done = sequence.run(sequence.laptop(), "cancel", run_id)
        if run_id not in sequence.damaged:
            sequence.expect(done, 0, 10, 21)


def let_go(sequence: Sequence) -> None:
    sequence.let_go()


# ---- faults


def _running(sequence: Sequence) -> str | None:
    """A run whose job has noted that it runs, if there is one."""
    world = sequence.world
    ran = world.executions()
    found = [one for one in world.runs() if world.state(one) == "RUNNING" and ran[one]]
    return sequence.rng.choice(found) if found else None


def kill_on_the_pod(sequence: Sequence) -> None:
    whom = sequence.rng.choice(("supervisor", "keeper", "job", "supervisor keeper"))
    if run_id := _running(sequence):
        try:
            sequence.world.kill(run_id, *whom.split())
        except (OSError, ValueError, KeyError, TypeError):
            whom = f"{whom}, which had ended,"
        sequence.fault(f"kill -9 of {whom} of {run_id}")


def move_the_clock(sequence: Sequence) -> None:
    """Six weeks, back or ahead: a run's files are as a clock that was moved would leave them."""
    moved = time.time() + sequence.rng.choice((-1000, 1000)) * 3600
    if run_id := _running(sequence):
        try:
            sequence.world.kill(run_id, "supervisor")
            times = dict.fromkeys(("heartbeat_at", "started_at", "queued_at"), moved)
            if sequence.world.state(run_id) == "RUNNING":
                sequence.world.pod.edit(run_id, "state.json", **times)
        except (OSError, ValueError, KeyError, TypeError):
            return  # it had ended
        sequence.fault(f"the clock of {run_id} was moved")


def reboot(sequence: Sequence) -> None:
    sequence.reboot()


def fill_the_pod(sequence: Sequence) -> None:
    with sequence.full(sequence.world.machine.disk, "the pod"):
        sequence.rng.choice(STRAINED)(sequence)


def fill_a_laptop(sequence: Sequence) -> None:
    for laptop in sequence.world.laptops:
        with sequence.full(laptop.disk, laptop.project.parent.name):
            sequence.rng.choice(STRAINED)(sequence)


def damage_a_state(sequence: Sequence) -> None:
    content = sequence.rng.choice(WRONG_STATES)
    if ended := sequence.world.ended():
        run_id = sequence.rng.choice(ended)
        (sequence.world.pod.folder(run_id) / "state.json").write_bytes(content)
        sequence.damaged.add(run_id)
        sequence.stopped.add(run_id)
        sequence.fault(f"state.json of {run_id} is {content!r}")


def damage_a_laptop(sequence: Sequence) -> None:
    """Leave what a power cut leaves in what a laptop keeps: zeros, old bytes, nothing."""
    state, kind = sequence.laptop().state, sequence.rng.choice(KEPT)
    if found := [path for path in sorted(state.glob(kind)) if path.is_file()]:
        path = sequence.rng.choice(found)
        content = path.read_bytes()
        size = min(200, len(content))
        spoilt = sequence.rng.choice((bytes(size), sequence.rng.randbytes(size)))
        is_log = path.name == "log"
        path.write_bytes(content[: len(content) - size] + spoilt if is_log else b"")
        sequence.fault(f"the end of {path.relative_to(state)} is spoilt")


def restore_an_old_state(sequence: Sequence) -> None:
    """Put a laptop's state folder back to what it was when this was called before."""
    state = sequence.laptop().state
    kept = state.with_name("state.kept")
    if kept.exists():
        shutil.rmtree(state, ignore_errors=True)
        kept.rename(state)
        sequence.fault("an old state folder is restored")
    elif state.exists():
        shutil.copytree(state, kept, symlinks=True, ignore=shutil.ignore_patterns("ssh"))


RULES: Rules = {
    start: 8,
    start_and_be_killed: 2,
    start_over_a_line_that_is_cut: 2,
    fetch: 6,
    fetch_and_be_stopped: 4,
    clean: 4,
    logs: 4,
    list_runs: 2,
    cancel: 2,
    let_go: 2,
    kill_on_the_pod: 2,
    move_the_clock: 1,
    reboot: 1,
    fill_the_pod: 2,
    fill_a_laptop: 2,
    damage_a_state: 2,
    damage_a_laptop: 2,
    restore_an_old_state: 2,
}
# While a disk is full.
STRAINED = (start, start, fetch, clean, logs, list_runs, cancel, let_go)
