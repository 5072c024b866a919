"""Damage of what either side keeps, and outputs that are easily lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.faults.scene import Findings, Scene, check_fetched, reported, steady, steady_log
from tests.support.small_disks import small_disk

NUM_LINES = 50
# Each of a repository's working folder, of Hydra's and Lightning's kind, and a link.
WRITES = """
mkdir -p outputs/day .hydra
echo weights >outputs/day/model.bin
echo 'lr: 1' >.hydra/config.yaml
ln -s model.bin outputs/day/last.ckpt
printf 'new\\nline' >"$(printf 'new\\nline')"
"""
OUTPUTS = ("outputs/day/model.bin", ".hydra/config.yaml", "new\nline")


def end_of_a_journal_is_spoilt(scene: Scene, tries: int) -> Findings:
    """Other bytes at the end of the log on the laptop, as after a power cut."""
    found = Findings(tries)
    for number in range(tries):
        run_id = _ended(scene)
        (journal,) = scene.project.state.glob(f"journals/*/{run_id}/log")
        content = journal.read_bytes()
        journal.write_bytes(content[:-200] + (os.urandom(200) if number % 2 else bytes(200)))
        done = scene.project.run("logs", run_id)
        found.expect(done.stdout == steady_log(NUM_LINES), "lines that the client showed")
        found.expect(journal.read_bytes() == content, "the journal")
        found.saw = reported(done, run_id)
    return found


def notes_are_empty(scene: Scene, tries: int) -> Findings:
    """Every JSON file that the laptop keeps of a run has no byte."""
    found = Findings(tries)
    for _ in range(tries):
        run_id = _ended(scene)
        for note in scene.project.state.glob(f"journals/*/{run_id}/*.json"):
            note.write_bytes(b"")
        done = scene.project.run("runs", "show", run_id)
        found.expect(done.returncode == 0, f"runs show: {done.stderr}")
        found.expect("SUCCEEDED" in done.stdout, "the run's end")
        found.saw = reported(done, run_id).replace(str(scene.folder), "FOLDER")
    return found


def state_is_damaged(scene: Scene, tries: int) -> Findings:
    """One run's state.json on the pod has wrong types: the others are listed as before."""
    found = Findings(tries)
    for content in (b"", b"[]", b'{"run_id": 3, "state": []}')[:tries]:
        run_id, other = _ended(scene), _ended(scene)
        (scene.pod.folder(run_id) / "state.json").write_bytes(content)
        states = {row["run_id"]: row["state"] for row in scene.project.json("runs")}
        found.expect(states.get(other) == "SUCCEEDED", f"the other run: {states}")
        found.expect(states.get(run_id) == "LOST", f"the damaged run: {states}")
        done = scene.project.run("fetch", "all", run_id)
        found.expect("Traceback" not in done.stderr, done.stderr)
        found.saw = reported(done, run_id).replace(str(scene.folder), "FOLDER")
    return found


def bytecode_is_cut(scene: Scene, tries: int) -> Findings:
    """A disk that was full has cut each shared ``.pyc`` at a page's edge."""
    found = Findings(tries)
    for _ in range(tries):
        _ended(scene)
        for path in (scene.pod.root / "cache" / "pycache").rglob("*.pyc"):
            cut = path.with_suffix(".cut")
            cut.write_bytes(path.read_bytes()[: path.stat().st_size // 4096 * 4096])
            cut.replace(path)
        run_id = _ended(scene)
        log = (scene.pod.folder(run_id) / "log").read_text(encoding="utf-8")
        found.expect(log == steady_log(NUM_LINES), f"the next run: {log[-300:]}")
        found.saw = reported(scene.project.run("logs", run_id), run_id) or "the run's log"
    return found


def outputs_are_in_the_working_folder(scene: Scene, tries: int) -> Findings:
    """Hidden, linked and oddly named outputs beside the code: no removal before they are here."""
    found = Findings(tries)
    for _ in range(tries):
        run_id = scene.begin("sh", "-c", WRITES)
        scene.pod.wait(run_id)
        refused = scene.project.run("clean", "--yes", run_id)
        found.expect(refused.returncode == 14, f"clean: {refused.stderr}")
        found.saw = reported(refused, run_id)
        scene.project.ok("fetch", "all", run_id)
        here = scene.project.folder / "results" / run_id / "workdir"
        for name in OUTPUTS:
            path = scene.pod.folder(run_id) / "workdir" / name
            is_same = (here / name).is_file() and (here / name).read_bytes() == path.read_bytes()
            found.expect(is_same, f"{name!r} as it was fetched")
        link = here / "outputs" / "day" / "last.ckpt"
        found.expect(link.is_symlink() and link.readlink() == Path("model.bin"), "the link")
        cleaned = scene.project.run("clean", "--yes", run_id)
        found.expect(cleaned.returncode == 0, f"clean: {cleaned.stderr}")
    return found


def disk_is_full_for_a_fetch(scene: Scene, tries: int) -> Findings:
    """The laptop's disk has no room for the results: one line names it; with room they come."""
    found = Findings(tries)
    results = scene.project.folder / "results"
    for _ in range(tries):
        with _small_folder(results, found) as is_there:
            if not is_there:
                return found
            run_id = scene.begin("sh", "-c", 'head -c 8000000 /dev/urandom >"$MOOLA_RUN_DIR/big"')
            scene.pod.wait(run_id)
            refused = scene.project.run("fetch", "all", run_id)
            found.expect(refused.returncode in (14, 15), f"fetch: {refused.stderr}")
            found.expect("Traceback" not in refused.stderr, refused.stderr)
            found.saw = reported(refused, run_id).replace(str(results), "DISK")
            subprocess.run(["mount", "-o", "remount,size=64m", str(results)], check=True)
            scene.project.ok("fetch", "all", run_id)
            check_fetched(found, scene.pod.folder(run_id), results / run_id)
    return found


def _ended(scene: Scene) -> str:
    """A steady run that has ended and was followed here; its id."""
    run_id = scene.begin(*steady(NUM_LINES, 0.0))
    scene.pod.wait(run_id)
    scene.project.ok("logs", run_id)
    return run_id


@contextlib.contextmanager
def _small_folder(folder: Path, found: Findings) -> Iterator[bool]:
    """A folder with four megabytes of its own; False where that can't be had."""
    with small_disk(folder, "size=4m") as is_there:
        if not is_there:
            found.skipped = "no right to mount a small file system here"
        yield is_there
