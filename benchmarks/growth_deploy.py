"""Rows of growth.py about deploys: beside ``rsync -a --files-from`` with the list that git has."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.growth_place import Place

Pairs = Iterator[tuple[float, float]]


def first(place: Place, size: int, rounds: int) -> Pairs:
    """Time a deploy to a pod without any of the files."""
    names = place.write_files(size)
    for _ in range(rounds):
        place.empty_pod()
        yield place.moola("deploy").cpu_s, _rsync(place, names)


def unchanged(place: Place, size: int, rounds: int) -> Pairs:
    """Everything is there."""
    names = place.write_files(size)
    place.empty_pod()
    place.moola("deploy")
    place.rsync(f"{place.project.folder}/", f"pod:{place.folder}/peer/", names)
    for _ in range(rounds):
        yield place.moola("deploy").cpu_s, _rsync(place, names)


def one_changed(place: Place, size: int, rounds: int) -> Pairs:
    """One file is another than in the last deploy."""
    names = place.write_files(size)
    place.empty_pod()
    place.moola("deploy")
    _rsync(place, names)
    for _ in range(rounds):
        place.project.write("src/part0000/module000000.py", f"# {secrets.token_hex(8)}\n")
        yield place.moola("deploy").cpu_s, _rsync(place, names)


def after_another(place: Place, size: int, rounds: int) -> Pairs:
    """One file changed, and another project was deployed between: how many files are sent."""
    place.write_files(size)
    place.empty_pod()
    place.moola("deploy")
    hidden = place.folder / "hidden"
    for _ in range(rounds):
        shutil.move(place.project.folder / "src", hidden)
        place.project.write("src/other.py", f"# {secrets.token_hex(8)}\n")
        place.moola("deploy")
        shutil.rmtree(place.project.folder / "src")
        shutil.move(hidden, place.project.folder / "src")
        place.project.write("src/part0000/module000000.py", f"# {secrets.token_hex(8)}\n")
        before = _trees(place)
        place.moola("deploy")
        (new,) = _trees(place) - before
        files = [path for path in (place.root / "code" / new).rglob("*") if path.is_file()]
        yield float(sum(path.stat().st_nlink == 1 for path in files)), 0.0


def peak(place: Place, size: int, rounds: int) -> Pairs:
    """Megabytes that the laptop's side of a first deploy takes at most, beside rsync's."""
    names = place.write_files(size)
    for _ in range(rounds):
        place.empty_pod()
        ours = place.peak_mb(place.argv("deploy"))
        yield ours, place.peak_mb(place.rsync_argv(*_way(place), names))


def large(place: Place, size: int, rounds: int) -> Pairs:
    """Time a first deploy of one file of `size` MB as data."""
    file = _large_file(place, size)
    for _ in range(rounds):
        shutil.rmtree(place.root / "data", ignore_errors=True)
        (place.folder / "peer.bin").unlink(missing_ok=True)
        yield _deploy_file(place, file), _rsync_file(place, file)


def large_changed(place: Place, size: int, rounds: int) -> Pairs:
    """Time it again with eight bytes changed in its middle."""
    file = _large_file(place, size)
    _deploy_file(place, file)
    _rsync_file(place, file)
    for _ in range(rounds):
        with file.open("r+b") as opened:
            opened.seek(size * 500_000)
            opened.write(secrets.token_bytes(8))
        yield _deploy_file(place, file), _rsync_file(place, file)


def _large_file(place: Place, megabytes: int) -> Path:
    file = place.folder / "large.bin"
    with file.open("wb") as opened:
        for _ in range(megabytes):
            opened.write(secrets.token_bytes(1_000_000))
    return file


def _deploy_file(place: Place, file: Path) -> float:
    return place.moola("deploy", "--data", f"numbers={file}").cpu_s


def _rsync_file(place: Place, file: Path) -> float:
    return place.rsync(str(file), f"pod:{place.folder}/peer.bin").cpu_s


def _trees(place: Place) -> set[str]:
    return {path.stem for path in (place.root / "code").glob("[!.]*.json")}


def _rsync(place: Place, names: Path) -> float:
    return place.rsync(*_way(place), names).cpu_s


def _way(place: Place) -> tuple[str, str]:
    return f"{place.project.folder}/", f"pod:{place.folder}/peer/"
