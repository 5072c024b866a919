"""SHA-256 of files, and the memory of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

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


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path, memory = _old(tmp_path / "file", b"old"), tmp_path / "state" / "hashes.json"
    cache = HashCache(memory)
    first = cache.sha256_of(path, path.lstat())
    cache.save()
    status = path.lstat()
    with path.open("r+b") as file:  # the same size, inode and time: only a memory can miss it
        file.write(b"new")
    os.utime(path, ns=(10**18, 10**18))
    assert HashCache(memory).sha256_of(path, status) == first


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


@pytest.mark.parametrize("broken", ["", "{", "[1]", "3", '{"x": 3}', '{"x": [1, 2]}'])
def test_a_broken_memory_counts_as_empty(broken: str, tmp_path: Path) -> None:
    path, memory = _old(tmp_path / "x", b"x"), tmp_path / "hashes.json"
    memory.write_text(broken.replace('"x"', f'"{path}"'))
    assert HashCache(memory).sha256_of(path, path.lstat()) == sha256_of(path)
