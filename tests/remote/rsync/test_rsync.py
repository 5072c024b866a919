"""rsync's command lines, progress, versions and exit codes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from moola_remote.errors import (
    ConfigError,
    LimitError,
    MoolaError,
    PartialTransferError,
    TransferError,
    UnreachableError,
)
from moola_remote.rsync import output
from moola_remote.rsync.argv import pull_argv, push_argv, rsh_option
from moola_remote.rsync.process import Rsync
from moola_remote.rsync.version import check_version, known_holes, parse_version


def test_a_pull_keeps_out_all_but_regular_files() -> None:
    argv = pull_argv(PurePosixPath("/far"), Path("/near"), rsh="rsh", max_file=1000)
    kept_out = {"--no-links", "--no-devices", "--no-specials", "--no-owner", "--no-group"}
    assert kept_out < set(argv)
    assert "--max-size=1000" in argv
    assert argv[-2:] == ["pod:/far/", "/near/"]
    assert not {"-a", "--archive", "-K", "--keep-dirlinks", "--delete"} & set(argv)


@pytest.mark.process
@pytest.mark.parametrize("from_list", [True, False])
def test_a_push_makes_its_folder_and_deletes_nothing(from_list: bool) -> None:
    dest = PurePosixPath("/a'b; c")
    argv = push_argv(Path("/near"), dest, rsh="rsh", from_list=from_list)
    assert ("--files-from=-" in argv) == from_list
    assert ("--recursive" in argv) != from_list
    made = next(word for word in argv if word.startswith("--rsync-path="))
    shown = subprocess.run(
        ["sh", "-c", made.replace("--rsync-path=mkdir -p", "printf %s").replace("&& rsync", "")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == str(dest)
    assert not any(word.startswith("--delete") for word in argv)


@pytest.mark.process
def test_rsync_splits_the_rsh_option_as_we_quote_it(tmp_path: Path) -> None:
    program = tmp_path / "a 'quoted' program"
    program.write_text('#!/bin/sh\nprintf "%s|" "$@" >"$0.out"\nexit 1\n')
    program.chmod(0o755)
    rsh = rsh_option([str(program), "one 'word'"])
    subprocess.run(["rsync", f"--rsh={rsh}", "pod:/x", str(tmp_path)], check=False, stderr=-3)
    assert Path(f"{program}.out").read_text().startswith("one 'word'|pod|rsync|")


@pytest.mark.process
def test_rsync_keeps_the_lock_of_its_folder_open(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    looks = ["sh", "-c", f"[ /dev/fd/{fd} -ef {tmp_path} ]"]
    for held, expected in ((fd, 0), (None, 1)):
        code, _, _ = Rsync(pytest.fail, "pod:/x", held=held).run(looks, b"")
        assert code == expected
    os.close(fd)


@pytest.mark.parametrize(
    ("line", "done"),
    [
        (b"      1,024  45%", None),
        (b"      32768   0%    0.00kB/s    0:00:00 (xfr#1, to-chk=0/1)", 32768),
        (b" 3000000 100%  100.55MB/s    0:00:02", 3000000),
        (b"Literal data: 3 bytes", None),
        (b"\x1b[2J 5 5% ", None),
        (b"", None),
    ],
)
def test_progress_is_read_and_nothing_else(line: bytes, done: int | None) -> None:
    assert output.parse_progress(line) == done


def test_what_was_sent_is_read() -> None:
    assert output.parse_sent(b"Literal data: 123 bytes") == 123
    assert output.parse_sent(b"Matched data: 123 bytes") is None


@pytest.mark.parametrize(
    ("shown", "version"),
    [
        ("rsync  version 3.2.7  protocol version 31\nCopyright", (3, 2, 7)),
        ("rsync  version v3.4.1  protocol version 32", (3, 4, 1)),
        ("openrsync: protocol version 29", None),
        ("", None),
    ],
)
def test_the_version_is_read(shown: str, version: tuple[int, ...] | None) -> None:
    assert parse_version(shown) == version


@pytest.mark.parametrize("version", [(3, 2, 7), "3.2.7", "3.1.3-8", (3, 3, 0)])
def test_a_version_with_known_holes_is_reported(version: tuple[int, ...] | str) -> None:
    assert "known vulnerabilities before 3.4.0" in (known_holes(version) or "")


@pytest.mark.parametrize("version", [(3, 4, 0), "3.4.1", "3.5.0", "4", "", None, "x" * 99])
def test_a_version_without_known_holes_is_not_reported(version: tuple[int, ...] | str) -> None:
    assert known_holes(version) is None


def test_too_old_versions_are_refused() -> None:
    check_version((3, 2, 7))
    for version in (None, (2, 6, 9), (3, 0, 9)):
        with pytest.raises(ConfigError, match="rsync"):
            check_version(version)


@pytest.mark.parametrize(
    ("code", "stderr", "kind", "reported"),
    [
        (11, b"rsync: write failed: No space left on device (28)", LimitError, "disk is full"),
        (12, b"bash: line 1: rsync: command not found", UnreachableError, "rsync is missing"),
        (12, b"sh: 1: rsync: not found\nrsync error: x", UnreachableError, "rsync is missing"),
        (30, b"rsync error: timeout", UnreachableError, "no data for 60 s"),
        (2, b"protocol version mismatch -- is your shell clean?", TransferError, "protocol"),
        (-25, b"", TransferError, "grew"),
        (11, b"rsync: [receiver] write: File too large (27)", TransferError, "grew"),
        (23, b'rsync: link_stat "x" failed: No such file', PartialTransferError, "link_stat"),
        (5, b"", TransferError, "rsync ended with 5, and said nothing"),
        (5, b"evil \x1b[2J\x07\nrsync error: x", TransferError, r"evil \\x1b\[2J\\x07"),
    ],
)
def test_an_exit_code_becomes_one_line(
    code: int, stderr: bytes, kind: type[MoolaError], reported: str
) -> None:
    error = output.failure("pod:/x", code, stderr)
    assert type(error) is kind
    with pytest.raises(kind, match=reported):
        raise error
    assert "\n" not in str(error)


@pytest.mark.parametrize(("here", "is_of_pod"), [(None, True), (Path("/here"), False)])
def test_a_full_disk_is_of_who_writes(here: Path | None, is_of_pod: bool) -> None:
    error = output.failure("pod:/x", 11, b"rsync: write failed: Disk quota exceeded", here=here)
    assert (error.exit_code, error.is_of_pod) == (14, is_of_pod)
    assert ("/here on this machine" in str(error)) is not is_of_pod
