"""``manifest.json`` from a pod that can't be trusted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_remote.errors import TransferError
from moola_remote.protocol.manifest import MAX_ENTRIES, check_path, read_manifest
from tests.support.plain import is_one_line

RUN = "20260101-000000-x-abcd"


def _file(path: Any, **changes: Any) -> dict[str, Any]:
    return {"path": path, "size": 1, "sha256": "0" * 64, **changes}


def _manifest(*files: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({"schema": 1, "run_id": RUN, "files": [*files], **changes}).encode()


def test_a_manifest_is_read() -> None:
    manifest = read_manifest(_manifest(_file("log"), _file("artifacts/a b é.png")), RUN)
    assert [file.path for file in manifest.files] == ["log", "artifacts/a b é.png"]


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "../x", "a/../../x", "a/..", ".", "./a", "a//b", "a/", "", "//"),
        *(".bashrc", "a/.ssh/x", ".rsync-partial/x", "..", "a/."),
        *("a\nb", "a\0b", "a\x1b[2Jb", "a\rb", "a\tb", "\x9b31m", "a\u202egpj.exe", "\u200bx"),
        *("a\\b", "C:\\x", "x" * 256, "é" * 128, "a/" * 40 + "b", "\ud800", "x/" * 600),
        *("manifest.json", "state.json", 3, None, ["a"]),
    ],
)
def test_a_name_that_could_do_harm_is_refused(path: Any) -> None:
    with pytest.raises(TransferError) as caught:
        read_manifest(_manifest(_file("log"), _file(path)), RUN)
    assert is_one_line(str(caught.value))


@pytest.mark.parametrize(
    "paths",
    [
        ("a", "a"),
        ("a", "A"),
        ("ß", "SS"),
        ("é", "e\u0301"),
        ("ﬁ", "fi"),
        ("a", "a/b"),
        ("A/b", "a"),
    ],
)
def test_names_that_meet_on_some_file_system_are_refused(paths: tuple[str, str]) -> None:
    with pytest.raises(TransferError, match=r"there twice|below a file"):
        read_manifest(_manifest(*map(_file, paths)), RUN)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        _manifest(_file("a", size=-1)),
        _manifest(_file("a", size=2**64)),
        _manifest(_file("a", size="x")),
        _manifest(_file("a", sha256="x")),
        _manifest(_file("a", sha256="0" * 63 + "\n")),
        _manifest(_file("a"), run_id="another"),
        _manifest(_file("a"), schema=2),
        _manifest(_file("a"), files="a"),
    ],
)
def test_what_is_no_manifest_of_this_run_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(TransferError, match=r"manifest\.json") as caught:
        read_manifest(content, RUN)
    assert is_one_line(str(caught.value))


def test_too_many_files_are_refused() -> None:
    many = [_file(f"a{number}") for number in range(MAX_ENTRIES + 1)]
    with pytest.raises(TransferError, match="100000"):
        read_manifest(_manifest(*many), RUN)


@given(st.text())
def test_a_name_that_passes_stays_below_its_folder(path: str) -> None:
    try:
        check_path(path)
    except ValueError:
        return
    parts = path.split("/")
    assert is_one_line(path)
    assert not any(part in ("", ".", "..") or part.startswith(".") for part in parts)


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with pytest.raises(TransferError):
        read_manifest(content, RUN)
