"""Rows of growth.py about runs: on the pod, on the laptop, and between."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.growth_place import TICKS_S, Cost, Place

Pairs = Iterator[tuple[float, float]]
WATCHED_S = 10.0


def ask(place: Place, size: int, rounds: int) -> Pairs:
    """Ask a pod with one run how it stands, beside a fresh ssh."""
    place.end_one()
    for _ in range(rounds * size):
        yield place.moola("runs").here_s, place.measure([*place.ssh, "true"]).here_s


def ask_first(place: Place, size: int, rounds: int) -> Pairs:
    """Ask likewise where no connection has stayed."""
    place.end_one()
    for _ in range(rounds * size):
        place.end_masters()
        yield place.moola("runs").here_s, place.measure([*place.ssh, "true"]).here_s


def start(place: Place, size: int, rounds: int) -> Pairs:
    """Start one job, warm, and come back; beside ``ssh setsid nohup``."""
    bare = [*place.ssh, "setsid nohup true >/dev/null 2>&1 </dev/null &"]
    for _ in range(rounds * size):
        place.end_one()
        yield place.moola("run", "--detach", "--", "true").wall_s, place.measure(bare).wall_s


def ended(place: Place, size: int, rounds: int) -> Pairs:
    """From queued to started where `size` runs have ended, beside a pod without any."""
    kept = place.folder / "kept"
    for _ in range(rounds):
        _have_runs(place, size)
        ours = _until_started(place)
        (place.root / "runs").rename(kept)
        peer = _until_started(place)
        shutil.rmtree(place.root / "runs")
        kept.rename(place.root / "runs")
        yield ours, peer


def _until_started(place: Place) -> float:
    run_id = place.start("true")
    place.wait(run_id)
    state = place.state(run_id)
    started, queued = state["started_at"], state["queued_at"]
    assert isinstance(started, float)
    assert isinstance(queued, float)
    return started - queued


def listed(place: Place, size: int, rounds: int) -> Pairs:
    """Time `logs` of one run where `size` have ended, beside a pod with that run alone."""
    first = place.end_one()
    _have_runs(place, size)
    for ours, peer in _beside_one(place, first, rounds, "logs", first):
        yield ours.wall_s, peer.wall_s


def page(place: Place, size: int, rounds: int) -> Pairs:
    """List the first page of `size` ended runs, beside a pod with one; CPU of both sides."""
    first = place.end_one()
    _have_runs(place, size)
    place.moola("runs")
    for ours, peer in _beside_one(place, first, rounds, "runs"):
        yield ours.cpu_s, peer.cpu_s


def _beside_one(place: Place, run_id: str, rounds: int, *words: str) -> Iterator[tuple[Cost, Cost]]:
    """Run a command with all runs on the pod, and with one, by turns."""
    kept = place.folder / "kept"
    for _ in range(rounds):
        ours = place.moola(*words)
        (place.root / "runs").rename(kept)
        shutil.copytree(kept / run_id, place.root / "runs" / run_id)
        peer = place.moola(*words)
        shutil.rmtree(place.root / "runs")
        kept.rename(place.root / "runs")
        yield ours, peer


def clean(place: Place, size: int, rounds: int) -> Pairs:
    """`clean --dry-run` of `size` runs without a copy here."""
    _have_runs(place, size)
    for _ in range(rounds):
        argv = ["sh", "-c", '"$@" || test $? -eq 14', "sh", *place.argv("clean", "--dry-run")]
        yield place.measure(argv).wall_s, 0.0


def fetch(place: Place, size: int, rounds: int) -> Pairs:
    """Time the first fetch of a run of `size` outputs, beside ``rsync -a``.

    Copies of earlier rounds are kept until the end: an ext4 without a journal looks at all that
    was deleted within seconds for each file that is made, up to half a millisecond.
    """
    run_id = place.end_one(size)
    for number in range(rounds):
        yield place.moola("fetch", "all", run_id).cpu_s, _rsync_run(place, run_id)
        for folder in (place.project.folder / "results", place.folder / "peer"):
            folder.rename(place.folder / f"{folder.name}-{run_id}-{number}")


def fetch_again(place: Place, size: int, rounds: int) -> Pairs:
    """Time the same when all of it is here."""
    run_id = place.end_one(size)
    place.moola("fetch", "all", run_id)
    _rsync_run(place, run_id)
    for _ in range(rounds):
        yield place.moola("fetch", "all", run_id).cpu_s, _rsync_run(place, run_id)


def _rsync_run(place: Place, run_id: str) -> float:
    return place.rsync(f"pod:{place.root}/runs/{run_id}/", f"{place.folder}/peer/").cpu_s


def fetch_tiny(place: Place, size: int, rounds: int) -> Pairs:
    """Time a fetch of three files, with `size` runs fetched before, beside none."""
    results, kept = place.project.folder / "results", place.folder / "kept-results"
    first = place.end_one()
    place.moola("fetch", "all", first)
    place.copy_runs(results, first, size)
    place.moola("index")
    for _ in range(rounds):
        run_id = place.end_one()
        ours = place.moola("fetch", "all", run_id).cpu_s
        results.rename(kept)
        peer = place.moola("fetch", "all", run_id).cpu_s
        shutil.rmtree(results)
        kept.rename(results)
        yield ours, peer


def index(place: Place, size: int, rounds: int) -> Pairs:
    """Time the page of all of `size` fetched runs, of which nothing is remembered."""
    first = place.end_one()
    place.moola("fetch", "all", first)
    place.copy_runs(place.project.folder / "results", first, size)
    for _ in range(rounds):
        (place.project.folder / "results" / ".index.json").unlink()
        yield place.moola("index").here_s, 0.0


def index_again(place: Place, size: int, rounds: int) -> Pairs:
    """Time the page again, as the last `fetch` left it."""
    for _ in index(place, size, 1):
        pass
    for _ in range(rounds):
        yield place.moola("index").here_s, 0.0


def sort(place: Place, size: int, rounds: int) -> Pairs:
    """Time `runs --sort` by a score."""
    _have_runs(place, size)
    for _ in range(rounds):
        yield place.moola("runs", "--sort", "f1").here_s, 0.0


def waiting(place: Place, size: int, rounds: int) -> Pairs:
    """Cores that `size` waiting jobs take while nothing happens."""
    with_queue = _queue(place, size)
    for _ in range(rounds):
        before, began = _cpu_of(with_queue), time.monotonic()
        time.sleep(WATCHED_S)
        yield (_cpu_of(with_queue) - before) / (time.monotonic() - began), 0.0
    _cancel_all(place)


def waiting_memory(place: Place, size: int, rounds: int) -> Pairs:
    """Megabytes that `size` waiting jobs take, what they share counted once."""
    with_queue = _queue(place, size)
    for _ in range(rounds):
        yield sum(map(_pss_mb, with_queue)), 0.0
    _cancel_all(place)


def _queue(place: Place, size: int) -> list[int]:
    """Have one run at work and `size` behind it; the processes of those."""
    first = place.start("sleep", "600")
    place.wait(first, "RUNNING")
    spec = (place.root / "runs" / first / "spec.json").read_text()
    agent = next((place.root / "agent").glob("*.pyz"))
    found = []
    for number in range(size):
        run_id = f"20260101-000000-wait-{secrets.token_hex(2)}"
        argv = [place.endpoint.python, "-ISB", str(agent), "--root", str(place.root), "start"]
        subprocess.run(
            argv, input=spec.replace(first, run_id).encode(), check=True, capture_output=True
        )
        supervisor = place.state(run_id)["supervisor"]
        assert isinstance(supervisor, dict), number
        found.append(int(supervisor["pid"]))
    return found


def _cancel_all(place: Place) -> None:
    agent = next((place.root / "agent").glob("*.pyz"))
    for path in sorted((place.root / "runs").glob("[!.]*"), reverse=True):
        argv = [place.endpoint.python, "-ISB", str(agent), "--root", str(place.root), "cancel"]
        subprocess.run([*argv, path.name], check=True, capture_output=True)


def _cpu_of(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15]))
    return total / TICKS_S


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise SystemExit(f"process {pid}: no Pss in its smaps_rollup")


def lines(place: Place, size: int, rounds: int) -> Pairs:
    """Follow a log of `size` lines from its beginning, beside ``ssh tail``; CPU of both sides."""
    text = f"for i in range({size}): print(f'{{i}} ' + 190 * 'x')"
    run_id = place.start("python", "-c", text)
    place.wait(run_id)
    log = place.root / "runs" / run_id / "log"
    for _ in range(rounds):
        shutil.rmtree(place.project.state / "journals", ignore_errors=True)
        with Path(os.devnull).open("wb") as nowhere:
            ours = place.measure(place.argv("logs", run_id), nowhere.fileno()).cpu_s
            argv = [*place.ssh, f"tail -n +1 {log}"]
            yield ours, place.measure(argv, nowhere.fileno()).cpu_s


def _have_runs(place: Place, size: int) -> None:
    """Have at least `size` ended runs on the pod."""
    runs = place.root / "runs"
    there = sorted(path.parent.name for path in runs.glob("[!.]*/manifest.json"))
    place.copy_runs(runs, there[0] if there else place.end_one(), size)
