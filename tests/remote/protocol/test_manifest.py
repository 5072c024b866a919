"""``manifest.json`` from a pod that can't be trusted."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_remote.errors import TransferError
from moola_remote.protocol.manifest import (
    MAX_ENTRIES,
    Link,
    check_path,
    read_manifest,
    stays_inside,
)
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
        *("..", "a/.", "a\0b", "\ud800", "x" * 20_000),
        *("manifest.json", "state.json", 3, None, ["a"]),
    ],
)
def test_a_name_that_could_do_harm_is_refused(path: Any) -> None:
    with pytest.raises(TransferError) as caught:
        read_manifest(_manifest(_file("log"), _file(path)), RUN)
    assert is_one_line(str(caught.value))


@pytest.mark.parametrize(
    "path",
    [
        *(".bashrc", "a/.ssh/x", "a\nb", "a\x1b[2Jb", "a\rb", "a\tb", "\x9b31m", "a\u202egpj.exe"),
        *("\u200bx", "a\u200cb", "a\ufe0f", "a\\b", "C:\\x", "Manifest.json", "-n", " "),
    ],
)
def test_an_odd_name_is_kept_and_shown_escaped(path: str) -> None:
    manifest = read_manifest(_manifest(_file(path)), RUN)
    assert manifest.files[0].name == path
    assert is_one_line(manifest.files[0].shown)


@pytest.mark.parametrize(
    "path",
    [
        *(".rsync-partial/x", "a/.rsync-partial/x", "x" * 256, "é" * 128),
        *("a/" * 600 + "b", ("y" * 200 + "/") * 30 + "x"),
    ],
)
def test_a_name_that_can_not_be_made_here_costs_no_other(path: str) -> None:
    manifest = read_manifest(_manifest(_file("log"), _file(path, size=7)), RUN)
    assert [file.path for file in manifest.files] == ["log"]
    (left,) = manifest.unreadable
    assert (left.path, left.size) == (path, 7)
    assert left.reason.endswith("there")
    links = read_manifest(_manifest(links=[{"path": path, "target": "x"}]), RUN)
    assert (links.links, [one.path for one in links.unreadable]) == ([], [path])


@pytest.mark.parametrize("path", ["a/" * 200 + "b", "x" * 255, "é" * 127, ("y" * 200 + "/") * 15])
def test_a_deep_or_long_name_that_can_be_made_is_a_file(path: str) -> None:
    assert read_manifest(_manifest(_file(path.rstrip("/"))), RUN).files


def test_a_long_name_that_is_no_utf8_counts_by_its_bytes() -> None:
    """Shown, it is four times as long."""
    raw = base64.b64encode(b"\xff" * 255).decode()
    manifest = read_manifest(_manifest(_file("\\xff" * 255, raw=raw)), RUN)
    assert [os.fsencode(file.name) for file in manifest.files] == [b"\xff" * 255]


def test_a_name_that_is_no_utf8_is_kept_by_its_bytes() -> None:
    raw = base64.b64encode(b"latin-\xe9").decode()
    manifest = read_manifest(_manifest(_file("latin-\\xe9", raw=raw)), RUN)
    assert os.fsencode(manifest.files[0].name) == b"latin-\xe9"
    for harmful in (b"../x", b"/etc/passwd", b"a/../../b", b""):
        raw = base64.b64encode(harmful).decode()
        with pytest.raises(TransferError, match=r"files\.0: expected a relative path without"):
            read_manifest(_manifest(_file("innocent", raw=raw)), RUN)
    with pytest.raises(TransferError, match=r"files\.0: raw: expected base64"):
        read_manifest(_manifest(_file("innocent", raw="no base64!")), RUN)


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b")])
def test_names_that_meet_are_refused(paths: tuple[str, str]) -> None:
    with pytest.raises(TransferError, match=r"there twice|below a file"):
        read_manifest(_manifest(*map(_file, paths)), RUN)


def test_nothing_lies_below_a_link() -> None:
    link = {"path": "a", "target": "/etc"}
    with pytest.raises(TransferError, match="below a file"):
        read_manifest(_manifest(_file("a/passwd"), links=[link]), RUN)


@pytest.mark.parametrize(
    ("name", "target", "is_inside"),
    [
        ("last", "epoch", True),
        ("a/last", "../b", True),
        ("a/b/last", "../../c/d", True),
        ("last", ".", True),
        ("last", "..", False),
        ("last", "../x", False),
        ("a/last", "../../x", False),
        ("a/b/c/d", "../../../../x", False),
        ("last", "/etc/passwd", False),
        # Behind another link, `..` could lead anywhere.
        ("a/b/c/d", "x/../y", False),
    ],
)
def test_a_link_stays_inside_or_is_not_made(name: str, target: str, is_inside: bool) -> None:
    assert stays_inside(Link(path=name, target=target)) == is_inside


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


@pytest.mark.slow
def test_too_many_files_are_refused() -> None:
    one = json.dumps(_file("a"))
    many = _manifest().replace(b"[]", f"[{', '.join([one] * (MAX_ENTRIES + 1))}]".encode())
    with pytest.raises(TransferError, match=str(MAX_ENTRIES)):
        read_manifest(many, RUN)


@given(st.text())
def test_a_name_that_passes_stays_below_its_folder(path: str) -> None:
    try:
        check_path(path)
    except ValueError:
        return
    assert not {"", ".", ".."} & set(path.split("/"))
    assert "\0" not in path


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with pytest.raises(TransferError):
        read_manifest(content, RUN)


@pytest.mark.parametrize("content", [b"[]", b"3", b"{"])
def test_what_is_no_manifest_as_a_whole_is_said_of_the_whole(content: bytes) -> None:
    with pytest.raises(TransferError, match=r"^run r-1: manifest\.json: the whole: ."):
        read_manifest(content, "r-1")
