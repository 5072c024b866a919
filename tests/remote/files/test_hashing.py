"""SHA-256 of files, and the memory of them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from moola_remote.files import hashing
from moola_remote.files.hashing import HashCache, sha256_of


def _old(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(10**18, 10**18))
    return path


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 21) + 1])
def test_the_whole_file_is_hashed(size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == (size, hashlib.sha256(content).hexdigest())


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "."):
        with pytest.raises(OSError):  # noqa: PT011 - which one is the system's choice
            sha256_of(tmp_path / name)


@pytest.fixture
def is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written now counts as written long ago: a program can't set a file's ctime."""
    monkeypatch.setattr(hashing, "RACY_NS", 0)


@pytest.mark.usefixtures("is_old")
def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path, memory = _old(tmp_path / "file", b"old"), tmp_path / "state" / "hashes.json"
    cache = HashCache(memory)
    first = cache.sha256_of(path, path.lstat())
    cache.save()
    status = path.lstat()
    with path.open("r+b") as file:  # as `status` does not say: only a memory can miss it
        file.write(b"new")
    os.utime(path, ns=(10**18, 10**18))
    assert HashCache(memory).sha256_of(path, status) == first
    # The same size, inode and time of its content: the time of its change can't be restored.
    assert HashCache(memory).sha256_of(path, path.lstat()) == sha256_of(path) != first


@pytest.mark.usefixtures("is_old")
def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path, memory = _old(tmp_path / "file", b"old"), tmp_path / "hashes.json"
    cache = HashCache(memory)
    cache.sha256_of(path, path.lstat())
    cache.save()
    path.write_bytes(b"new")
    assert HashCache(memory).sha256_of(path, path.lstat()) == sha256_of(path)


def test_a_file_that_may_still_change_is_not_remembered(tmp_path: Path) -> None:
    path, memory = tmp_path / "file", tmp_path / "hashes.json"
    path.write_bytes(b"x")
    cache = HashCache(memory)
    cache.sha256_of(path, path.lstat())
    cache.save()
    assert not memory.exists()


@pytest.mark.usefixtures("is_old")
def test_what_was_remembered_otherwise_or_not_asked_for_is_forgotten(tmp_path: Path) -> None:
    one, other = _old(tmp_path / "one", b"1"), _old(tmp_path / "other", b"2")
    memory = tmp_path / "hashes.json"
    cache = HashCache(memory, tag="1")
    for path in (one, other):
        cache.sha256_of(path, path.lstat())
    cache.save()
    again = HashCache(memory, tag="1", is_whole=True)
    assert again.knows(str(one), one.lstat())
    assert not HashCache(memory, tag="2").knows(str(one), one.lstat())
    again.sha256_of(one, one.lstat())
    again.save()
    assert list(json.loads(memory.read_bytes())) == [str(one)]


@pytest.mark.usefixtures("is_old")
@pytest.mark.parametrize("change", ["", "content", "gone", "another", "link"])
def test_what_is_whole_stays_so_until_a_file_changes(change: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    files = [_old(tmp_path / "run" / name, name.encode()) for name in ("one", "two")]
    memory, below = tmp_path / "hashes.json", f"{tmp_path}/run/"
    cache = HashCache(memory)
    cache.note_whole("all", list(map(str, files)))  # of files that nobody has read
    assert cache.unchanged("all", below) is None
    for path in files:
        cache.sha256_of(path, path.lstat())
    cache.note_whole("all", list(map(str, files)))
    cache.save()
    if change == "content":
        _old(files[0], b"eno")
    elif change == "gone":
        files[0].unlink()
    elif change == "another":
        _old(tmp_path / "new", b"one").replace(files[0])
    elif change == "link":
        files[0].rename(tmp_path / "one")
        files[0].symlink_to(tmp_path / "one")
    found = HashCache(memory).unchanged("all", below)
    assert (found is not None) == (change == "")
    if found is not None:
        assert found == (2, 6, max(path.lstat().st_ctime_ns for path in files))
        assert HashCache(memory).unchanged("results", below) is None


@pytest.mark.usefixtures("is_old")
def test_a_file_that_was_read_anew_makes_nothing_whole(tmp_path: Path) -> None:
    """What it is now, it is not by the list that was compared before."""
    path, memory = _old(tmp_path / "one", b"one"), tmp_path / "hashes.json"
    cache = HashCache(memory)
    cache.sha256_of(path, path.lstat())
    cache.note_whole("all", [str(path)])
    assert cache.unchanged("all", f"{tmp_path}/") is not None
    _old(path, b"two")
    cache.sha256_of(path, path.lstat())
    cache.save()
    assert HashCache(memory).unchanged("all", f"{tmp_path}/") is None


@pytest.mark.parametrize(
    "broken", ["", "{", "[1]", "3", '{"x": 3}', '{"x": [1, 2]}', '{"": {"all": 1}}', '{"": 1}']
)
def test_a_broken_memory_counts_as_empty(broken: str, tmp_path: Path) -> None:
    path, memory = _old(tmp_path / "x", b"x"), tmp_path / "hashes.json"
    memory.write_text(broken.replace('"x"', f'"{path}"'))
    assert HashCache(memory).sha256_of(path, path.lstat()) == sha256_of(path)
    assert HashCache(memory).unchanged("none", f"{tmp_path}/") is None
