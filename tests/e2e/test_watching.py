"""Checkpoints come home while the run goes on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.test_following import pod_of
from tests.support.lanes import HANGS_S
from tests.support.pods import wait_until
from tests.support.projects import PROGRAM, Project

pytestmark = [pytest.mark.e2e, pytest.mark.process]

# Completes a checkpoint by rename whenever it is asked to, and keeps the latest alone.
JOB = """
cd "$MOOLA_RUN_DIR"; mkdir checkpoints
for n in 1 2 3; do
    mkdir checkpoints/.epoch-$n
    head -c 300000 /dev/urandom >checkpoints/.epoch-$n/tensors
    until [ -e go-$n ]; do sleep 0.02; done
    mv checkpoints/.epoch-$n checkpoints/epoch-$n
    echo '{"schema": 1, "t": 1, "kind": "checkpoint", "epoch": '$n'}' >>events.jsonl
    rm -rf checkpoints/epoch-$((n - 1))
done
until [ -e go-4 ]; do sleep 0.02; done
"""


def test_a_watch_brings_each_checkpoint_and_goes_on_after_it_was_killed(
    local_project: Project,
) -> None:
    run_id = local_project.ok("run", "--detach", "--", "sh", "-c", JOB).strip()
    there = pod_of(local_project).folder(run_id)
    here = local_project.folder / "results" / run_id

    def is_here(number: int) -> bool:
        return (here / "checkpoints" / f"epoch-{number}" / "tensors").is_file()

    for number in (1, 2):
        with local_project.running(PROGRAM, "fetch", "all", "--watch", run_id):
            (there / f"go-{number}").touch()
            wait_until(lambda: is_here(number))  # noqa: B023 - at once
    assert not (here / "log").exists()
    sent = (there / "checkpoints" / "epoch-2" / "tensors").read_bytes()
    assert (here / "checkpoints" / "epoch-2" / "tensors").read_bytes() == sent
    with local_project.running(PROGRAM, "fetch", "all", "--watch", run_id) as watching:
        (there / "go-3").touch()
        wait_until(lambda: is_here(3))
        (there / "go-4").touch()
        out, talk = watching.communicate(timeout=HANGS_S)
    assert watching.returncode == 0, talk
    assert Path(out.splitlines()[0]) == here
    assert f"run {run_id}: SUCCEEDED" in talk
    assert is_here(1)  # what the run has dropped stays
    assert (here / "manifest.json").read_bytes() == (there / "manifest.json").read_bytes()


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        (("fetch", "all", "--watch"), "verified: ", "verified: "),
        (("attach", "--then", "stop"), ": RUNNING", "pod local: stopped"),
    ],
)
def test_what_comes_after_a_run_outlives_the_connection_of_its_beginning(
    alone: Project, words: tuple[str, ...], first: str, last: str
) -> None:
    run_id = alone.ok("run", "--detach", "--", "sh", "-c", JOB).strip()
    there = pod_of(alone).folder(run_id)
    (there / "go-1").touch()
    with alone.running(PROGRAM, *words, run_id) as watching:
        assert watching.stderr
        talk = iter(watching.stderr)
        assert next(line for line in talk if first in line)
        server = json.loads((alone.state / "local-pod" / "pod.json").read_bytes())
        os.kill(server["pid"], signal.SIGKILL)
        assert next(line for line in talk if "connected again" in line)
        for number in (2, 3, 4):
            (there / f"go-{number}").touch()
        said = list(talk)
        assert watching.wait(timeout=HANGS_S) == 0, said
    assert any(line.startswith(last) for line in said[-4:]), said
    here = alone.folder / "results" / run_id
    assert (here / "manifest.json").read_bytes() == (there / "manifest.json").read_bytes()
