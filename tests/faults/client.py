"""Faults of the laptop: its client is killed, or another is at work at the same time."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

from tests.faults.scene import (
    Findings,
    Scene,
    at_points,
    check_fetched,
    check_trees,
    reported,
    steady,
    steady_log,
)
from tests.support.projects import Project

MEGABYTE = 10**6
NUM_LINES = 20


def deploy_is_killed(scene: Scene, tries: int) -> Findings:
    """``kill -9`` in the middle of a deploy, then the same deploy again."""
    found = Findings(tries)
    project = scene.project
    blob = project.write("data/numbers/blob", "")
    recipe = project.write("recipes/calm.yaml", "")

    def change() -> None:
        blob.write_bytes(os.urandom(4 * MEGABYTE))
        recipe.write_text(f"# {os.urandom(8).hex()}\nepochs: 3\n", encoding="utf-8")

    change()
    for wait_s in at_points(lambda: project.ok("deploy"), tries):
        change()
        with scene.client("deploy") as client:
            time.sleep(wait_s)
            client.kill()
        again = project.run("deploy")
        found.expect(again.returncode == 0, f"deploy afterwards: {again.stderr}")
        check_deployed(found, scene.pod.root, blob)
        check_deployed(found, scene.pod.root, recipe)
        found.saw = f"Killed; then deploy again: {''.join(again.stdout.splitlines()[-1:])}"
    blob.unlink()
    check_trees(found, scene.pod.root)
    return found


def check_deployed(found: Findings, root: Path, near: Path) -> None:
    """A file as the project has it now belongs to a tree that the pod calls complete."""
    digest = hashlib.sha256(near.read_bytes()).hexdigest()
    is_listed = any(digest in record.read_text() for record in root.glob("*/[0-9a-f]*.json"))
    found.expect(is_listed, f"{near.name} is not on the pod")


def train_is_killed(scene: Scene, tries: int) -> Findings:
    """``kill -9`` between the start of the command and the end of its job."""
    found = Findings(tries)
    project = scene.project
    argv = ("run", "--", *steady(NUM_LINES))
    known = {run["run_id"] for run in project.json("runs")}
    first = len(known)
    num_started = 0
    for wait_s in at_points(lambda: project.ok(*argv), tries):
        with scene.client(*argv) as client:
            time.sleep(wait_s)
            client.kill()
        new = {run["run_id"] for run in project.json("runs")} - known
        for run_id in new:
            again = project.run("logs", "-f", run_id)
            found.expect(again.stdout == steady_log(NUM_LINES), f"{run_id}: its log afterwards")
            found.saw = f"Killed; then logs -f: {reported(again, run_id)}"
            num_started += 1
        known |= new
    # A start that was under way when its client died may have come to light since.
    for run in project.json("runs")[first:]:
        scene.check_steady(found, run["run_id"], NUM_LINES)
    found.saw = f"{found.saw} ({num_started} of {tries + 1} had started, each ran once)"
    return found


def fetch_is_killed(scene: Scene, tries: int) -> Findings:
    """``kill -9`` in the middle of a fetch, then the same fetch again."""
    found = Findings(tries)
    project, pod = scene.project, scene.pod
    job = 'mkdir "$MOOLA_RUN_DIR/artifacts"; cd "$MOOLA_RUN_DIR/artifacts"; echo done; '
    run_id = scene.begin("sh", "-c", job + "head -c 30000000 /dev/urandom >big; echo 1 >small")
    pod.wait(run_id)
    results = project.folder / "results"
    for wait_s in at_points(lambda: project.ok("fetch", "results", run_id), tries):
        shutil.rmtree(results)
        with scene.client("fetch", "results", run_id) as client:
            time.sleep(wait_s)
            client.kill()
        if (results / run_id).exists():
            check_fetched(found, pod.folder(run_id), results / run_id)
        again = project.run("fetch", "results", run_id)
        found.expect(again.returncode == 0, f"fetch afterwards: {again.stderr}")
        check_fetched(found, pod.folder(run_id), results / run_id)
        found.saw = f"Killed; then fetch again: {reported(again, run_id)}"
    return found


def two_clients(scene: Scene, tries: int) -> Findings:
    """Two laptops deploy the same tree and train at the same moment; one then reads both logs."""
    found = Findings(tries)
    for number in range(tries):
        one = scene.project
        one.write("recipes/calm.yaml", f"# {os.urandom(8).hex()}\nepochs: 3\n")
        other = Project(scene.folder / f"other-{number}", scene.folder / f"other-state-{number}")
        shutil.copytree(one.folder, other.folder)
        argv = ("run", "--", *steady(NUM_LINES))
        known = {run["run_id"] for run in one.json("runs")}
        with scene.client(*argv) as first, scene.client(*argv, project=other) as second:
            for client in (first, second):
                found.expect(client.end() == 0, f"a client ended so: {client.err}")
                found.expect(client.out == steady_log(NUM_LINES), "lines that a client showed")
        new = {run["run_id"] for run in other.json("runs")} - known
        found.expect(len(new) == 2, f"{len(new)} runs of 2")
        for run_id in new:
            scene.check_steady(found, run_id, NUM_LINES)
            found.expect(one.ok("logs", run_id) == steady_log(NUM_LINES), "a log, read by one")
            found.saw = reported(second, run_id) if run_id in second.err else found.saw
    check_trees(found, scene.pod.root)
    return found
