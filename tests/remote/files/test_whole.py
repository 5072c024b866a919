"""The memory of many files that were all as they should be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moola_remote.files import hashing
from moola_remote.files.hashing import HashCache
from moola_remote.files.whole import Whole


@pytest.fixture(autouse=True)
def is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written now counts as written long ago: a program can't set a file's ctime."""
    monkeypatch.setattr(hashing, "RACY_NS", 0)


def _old(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(10**18, 10**18))
    return path


def _read(cache: HashCache, *files: Path) -> HashCache:
    for path in files:
        cache.sha256_of(path, path.lstat())
    return cache


@pytest.mark.parametrize("change", ["", "content", "gone", "another", "link"])
def test_what_is_whole_stays_so_until_a_file_changes(change: str, tmp_path: Path) -> None:
    names = ("one", os.fsdecode(b"two \xff\n"))
    files = [_old(tmp_path / name, name.encode("utf-8", "surrogateescape")) for name in names]
    cache, memory = HashCache(tmp_path / "hashes.json"), tmp_path / "state" / "whole-all"
    Whole(memory, "all").note(list(map(str, files)), cache)  # of files that nobody has read
    assert Whole(memory, "all").look() is None
    Whole(memory, "all").note(list(map(str, files)), _read(cache, *files))
    if change == "content":
        _old(files[0], b"eno")
    elif change == "gone":
        files[0].unlink()
    elif change == "another":
        _old(tmp_path / "new", b"one").replace(files[0])
    elif change == "link":
        files[0].rename(tmp_path / "first")
        files[0].symlink_to(tmp_path / "first")
    found = Whole(memory, "all").look()
    assert (found is not None) == (change == "")
    if found is not None:
        assert found == (2, 9, max(path.lstat().st_ctime_ns for path in files))
        assert Whole(memory, "results").look() is None


def test_a_file_that_was_read_anew_makes_nothing_whole(tmp_path: Path) -> None:
    """What it is now, it is not by the list that was compared before."""
    path, memory = _old(tmp_path / "one", b"one"), tmp_path / "whole"
    cache = _read(HashCache(tmp_path / "hashes.json"), path)
    Whole(memory, "all").note([str(path)], cache)
    assert Whole(memory, "all").look() is not None
    _old(path, b"two")
    _read(cache, path).save()
    assert Whole(memory, "all").look() is None


def test_a_damaged_memory_counts_as_empty(tmp_path: Path) -> None:
    path, memory = _old(tmp_path / "x", b"x"), tmp_path / "whole"
    Whole(memory, "all").note([str(path)], _read(HashCache(tmp_path / "hashes.json"), path))
    content = memory.read_bytes()
    for place in range(len(content)):
        memory.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert Whole(memory, "all").look() is None
        memory.write_bytes(content[:place])
        assert Whole(memory, "all").look() is None
    memory.write_bytes(content)
    assert Whole(memory, "all").look() is not None


def test_a_full_disk_costs_the_memory_alone(tmp_path: Path) -> None:
    path = _old(tmp_path / "x", b"x")
    cache = _read(HashCache(tmp_path / "hashes.json"), path)
    (tmp_path / "no folder").write_bytes(b"")
    for place in (None, tmp_path / "no folder" / "whole"):
        Whole(place, "all").note([str(path)], cache)
        assert Whole(place, "all").look() is None
