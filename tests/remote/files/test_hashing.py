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
    assert again.recall(str(one), one.lstat()) == hashlib.sha256(b"1").hexdigest()
    assert HashCache(memory, tag="2").recall(str(one), one.lstat()) is None
    again.save()
    assert list(json.loads(memory.read_bytes())) == [str(one)]


@pytest.mark.parametrize(
    "broken", ["", "{", "[1]", "3", '{"x": 3}', '{"x": [1, 2]}', '{"": {"all": 1}}', '{"": 1}']
)
def test_a_broken_memory_counts_as_empty(broken: str, tmp_path: Path) -> None:
    path, memory = _old(tmp_path / "x", b"x"), tmp_path / "hashes.json"
    memory.write_text(broken.replace('"x"', f'"{path}"'))
    assert HashCache(memory).sha256_of(path, path.lstat()) == sha256_of(path)
    assert HashCache(memory).remembered(str(path)) is None
