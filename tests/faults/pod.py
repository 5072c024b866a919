"""Faults of the pod: our processes or the job are killed, the disk is full, the clock jumps."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import submit
from moola_remote.protocol.spec import new_run_id
from moola_remote.ssh.connect import connect
from moola_remote.ssh.transport import Transport
from tests.faults.scene import (
    PATIENCE_S,
    Findings,
    Scene,
    check_fetched,
    reported,
    steady,
    steady_log,
)
from tests.support import small_disks
from tests.support.pods import AgentPod, is_alive, is_gone, wait_until
from tests.support.projects import make_project

NUM_LINES = 50
# A deploy asks for half a gigabyte of room; the faults come once there is little of it.
ROOMY_MB, SMALL_MB = 640, 48
REPOSITORY = Path(__file__).parents[2]
WAIT = """
import os, sys, time
while not os.path.exists(os.environ["MOOLA_RUN_DIR"] + "/.go"):
    time.sleep(0.02)
"""
# Writes until it can't, then reports how many bytes were taken, on another disk.
FILL_LOG = (
    WAIT
    + """
taken = 0
try:
    while True:
        taken += os.write(1, b"a line of a log\\n" * 64)
except OSError as err:
    open(sys.argv[1], "w").write(str(taken))
    sys.exit(5)
"""
)
# Larger and larger checkpoints, until one finds no room.
FILL_CHECKPOINTS = (
    WAIT
    + """
import pathlib
sys.path.insert(0, sys.argv[1])
import torch
from moola_core.training.checkpoint import Checkpoint, checkpoint_name, save_checkpoint
folder = pathlib.Path(os.environ["MOOLA_RUN_DIR"], "checkpoints")
for epoch in range(1, 1000):
    tensors, state = {"w": torch.full((epoch, 250_000), 0.0)}, {"epoch": epoch, "batch": 0}
    try:
        save_checkpoint(folder, Checkpoint(checkpoint_name(epoch), tensors, state))
    except OSError as err:
        sys.exit(f"error: checkpoint of epoch {epoch}: {err.strerror}")
    print(f"epoch {epoch} kept", flush=True)
"""
)


def supervisor_is_killed(scene: Scene, tries: int) -> Findings:
    """``kill -9`` of our process that watches over the job, which lives on."""
    found = Findings(tries)
    for _ in range(tries):
        run_id = scene.begin_steady(NUM_LINES)
        job = scene.pod.process(run_id, "job")
        with scene.client("logs", "-f", run_id) as client:
            client.wait_for("line 0 ")
            scene.pod.kill(run_id, "supervisor")
            found.expect(is_alive(job), "the job")
            scene.go(run_id)
            found.expect(client.end() == 0, f"the client's end: {client.err}")
            found.expect(client.out == steady_log(NUM_LINES), "lines that the client showed")
            found.saw = reported(client, run_id)
        scene.check_steady(found, run_id, NUM_LINES)
    return found


def job_is_killed(scene: Scene, tries: int) -> Findings:
    """``kill -9`` of the job: it failed, and nobody says otherwise."""
    found = Findings(tries)
    for _ in range(tries):
        run_id = scene.begin_steady(NUM_LINES)
        with scene.client("logs", "-f", run_id) as client:
            client.wait_for(f"line {NUM_LINES - 1} ")
            scene.pod.kill(run_id, "job")
            found.expect(client.end() == 20, f"the client's end: {client.err}")
            log = (scene.pod.folder(run_id) / "log").read_text(encoding="utf-8")
            found.expect(log == steady_log(NUM_LINES).removesuffix("end\n"), "lines of the log")
            found.expect(client.out == log, "lines that the client showed")
            found.saw = reported(client, run_id)
        state = scene.pod.wait(run_id)
        found.expect((state["state"], state["signal"]) == ("FAILED", "SIGKILL"), f"{state}")
    return found


def clock_jumps(scene: Scene, tries: int) -> Findings:
    """Six weeks back or ahead: the files' times are as a clock that was moved would leave them."""
    found = Findings(tries)
    for number in range(tries):
        run_id = scene.begin_steady(NUM_LINES)
        scene.pod.kill(run_id, "supervisor")
        moved = time.time() + (1000 * 3600 if number % 2 else -1000 * 3600)
        times = dict.fromkeys(("heartbeat_at", "started_at", "queued_at"), moved)
        scene.pod.edit(run_id, "state.json", **times)
        with scene.client("logs", "-f", run_id) as client:
            client.wait_for("line 0 ")
            scene.go(run_id)
            found.expect(client.end() == 0, f"the client's end: {client.err}")
            found.expect(client.out == steady_log(NUM_LINES), "lines that the client showed")
            found.saw = reported(client, run_id)
        scene.check_steady(found, run_id, NUM_LINES)
    return found


def agent_is_upgraded(scene: Scene, tries: int) -> Findings:
    """The run was started by another version of the agent, whose file and process are gone."""
    found = Findings(tries)
    transport = connect(scene.endpoint, known_hosts=scene.folder / "known_hosts")
    try:
        for number in range(tries):
            older = OlderAgent(transport, root=scene.endpoint.root, python=scene.endpoint.python)
            run_id = new_run_id("older")
            argv = steady(NUM_LINES, 0.01, "wait")
            submit(older, {"run_id": run_id, "argv": argv})
            scene.pod.wait(run_id, "RUNNING")
            (scene.pod.root / "agent" / f"{older.digest}.py").unlink()
            if number % 2:
                scene.pod.kill(run_id, "supervisor")
            with scene.client("logs", "-f", run_id) as client:
                client.wait_for("line 0 ")
                scene.go(run_id)
                found.expect(client.end() == 0, f"the client's end: {client.err}")
                found.expect(client.out == steady_log(NUM_LINES), "lines that the client showed")
                found.saw = reported(client, run_id)
            scene.check_steady(found, run_id, NUM_LINES)
    finally:
        transport.close()
    return found


class OlderAgent(Agent):
    """The agent as it was before its last line was written."""

    def __init__(self, transport: Transport, *, root: str, python: str) -> None:
        super().__init__(transport, root=root, python=python)
        self._content += b"# older\n"
        self.digest = "0" * 16
        self._path = self._path.with_name(f"{self.digest}.py")


@contextlib.contextmanager
def small_disk(scene: Scene, found: Findings) -> Iterator[Scene | None]:
    """The same scene with the pod's root on a small file system; None where that can't be had."""
    folder = scene.folder / f"small-{time.monotonic_ns()}"
    with small_disks.small_disk(folder, f"size={ROOMY_MB}m,mode=700") as is_there:
        if not is_there:
            found.skipped = "no right to mount a small file system here"
            yield None
            return
        endpoint = replace(scene.endpoint, root=str(folder / "root"))
        near = replace(endpoint, port=scene.line.port)
        project = make_project(folder.with_suffix(".project"), scene.project.state, near, "host")
        project.ok("deploy")
        yield replace(scene, endpoint=endpoint, project=project)
        AgentPod(folder / "root").clear()


def resize(small: Scene, megabytes: int) -> None:
    """Give the file system of `small_disk` another size."""
    argv = ["mount", "-o", f"remount,size={megabytes}m", str(small.pod.root.parent)]
    subprocess.run(argv, check=True, capture_output=True)


def disk_is_full_for_the_log(scene: Scene, tries: int) -> Findings:
    """The job's own lines find no room; what was taken of them is shown, and can be fetched."""
    found = Findings(tries)
    with small_disk(scene, found) as small:
        if small is None:
            return found
        spare = small.pod.root / "spare"
        spare.write_bytes(bytes(4 * 10**6))
        taken = scene.folder / "taken"
        run_id = small.begin("python", "-c", FILL_LOG, str(taken))
        resize(small, SMALL_MB)
        with small.client("logs", "-f", run_id) as client:
            small.go(run_id)
            found.expect(client.end() == 20, f"the client's end: {client.err}")
            log = (small.pod.folder(run_id) / "log").read_text(encoding="utf-8")
            found.expect(len(log) == int(taken.read_text()), "bytes that the pod took of the job")
            found.expect(client.out.rstrip("\n") == log.rstrip("\n"), "lines shown")
            found.saw = reported(client, run_id)
        found.expect(small.pod.wait(run_id)["returncode"] == 5, "the exit code")
        spare.unlink()
        small.project.ok("fetch", "logs", run_id)
        fetched = small.project.folder / "results" / run_id / "log"
        found.expect(fetched.read_text(encoding="utf-8") == log, "the log as it was fetched")
    return found


def disk_is_full_for_the_state(scene: Scene, tries: int) -> Findings:
    """No room is left when the job ends: with our reserve, and without it."""
    found = Findings(tries)
    with small_disk(scene, found) as small:
        if small is None:
            return found
        for number in range(tries):
            resize(small, ROOMY_MB)
            run_id = small.begin_steady(NUM_LINES)
            job = small.pod.process(run_id, "job")
            small.pod.wait_for_size(run_id, len(steady_log(NUM_LINES)) - len("end\n"))
            resize(small, SMALL_MB)
            filler = small.pod.root / "filler"
            fill = ["sh", "-c", 'cat /dev/zero >"$1"', "sh", str(filler)]
            with small.client("logs", "-f", run_id) as client:
                client.wait_for("line 0 ")
                if number % 2:
                    (small.pod.folder(run_id) / ".moola" / ".reserve").unlink()
                subprocess.run(fill, capture_output=True, check=False)
                small.go(run_id)
                wait_until(partial(is_gone, job))
                if number % 2:
                    stored = small.pod.stored(run_id)["state"]
                    found.expect(stored == "RUNNING", f"reported without room: {stored}")
                    filler.unlink()
                found.expect(client.end() == 0, f"the client's end: {client.err}")
                found.expect(client.out == steady_log(NUM_LINES), "lines that the client showed")
                found.saw = reported(client, run_id)
            filler.unlink(missing_ok=True)
            small.check_steady(found, run_id, NUM_LINES)
    return found


def disk_is_full_for_a_checkpoint(scene: Scene, tries: int) -> Findings:
    """A checkpoint finds no room: the one before it is whole, and nothing half-written has a name.

    Raises:
        CheckpointError: none is whole.
    """
    from moola_core.training.checkpoint import checkpoint_name, load_latest

    found = Findings(tries)
    with small_disk(scene, found) as small:
        if small is None:
            return found
        run_id = small.begin("python", "-c", FILL_CHECKPOINTS, str(REPOSITORY))
        resize(small, SMALL_MB)
        with small.client("logs", "-f", run_id) as client:
            small.go(run_id)
            found.expect(client.end() == 20, f"the client's end: {client.err}")
            last = client.out.count(" kept\n")
            found.saw = reported(client, run_id)
        checkpoint, torn = load_latest(small.pod.folder(run_id))
        found.expect(checkpoint.name == checkpoint_name(last), f"{checkpoint.name} is the last")
        found.expect(not torn, f"{torn}")
        state = small.pod.wait(run_id, timeout_s=PATIENCE_S)
        found.expect(state["state"] == "FAILED", f"reported as {state['state']}")
        small.project.ok("fetch", "checkpoints", run_id)
        near = small.project.folder / "results" / run_id
        check_fetched(found, small.pod.folder(run_id), near, below="checkpoints/")
    return found
