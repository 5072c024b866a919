"""Files there and back by rsync over the connection, on both servers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from moola_remote.errors import (
    ConfigError,
    PartialTransferError,
    TransferError,
    UnreachableError,
)
from moola_remote.rsync import version
from moola_remote.ssh import ssh_transport
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.lines import Line, connect_over
from tests.support.odd_names import ODD_NAMES
from tests.support.pods import wait_until

pytestmark = pytest.mark.process
CUT = "connection lost; run it again: what has arrived is not sent twice"


@pytest.fixture
def over_line(openssh_server: Endpoint, line: Line, tmp_path: Path) -> Transport:
    return connect_over(line, openssh_server, tmp_path)


def _fill(folder: Path) -> dict[str, bytes]:
    content = {name: os.urandom(100) for name in ODD_NAMES}
    content["deep/er/file"] = os.urandom(3_000_000)
    content["empty"] = b""
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return content


def _content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_odd_names_travel_there_and_back(transport: Transport, tmp_path: Path) -> None:
    here, back = tmp_path / "here", tmp_path / "back"
    content = _fill(here)
    back.mkdir()
    there = tmp_path / "th'ere; echo x"
    reported: list[int] = []
    sent = transport.push(here, PurePosixPath(there), files=[*content], progress=reported.append)
    assert _content(there) == content
    assert sent == sum(map(len, content.values()))
    assert reported[-1] == sent
    far = PurePosixPath(there)
    transport.pull(far, back, files=[*content], max_file=3_000_000, max_bytes=4_000_000)
    assert _content(back) == content


def test_only_the_files_named_are_sent_with_modes_and_links(
    transport: Transport, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    _fill(here)
    (here / "run").write_text("#!/bin/sh\n")
    (here / "run").chmod(0o755)
    (here / "link").symlink_to("deep/er")
    transport.push(here, PurePosixPath(there), files=["run", "link", "empty"])
    assert sorted(path.name for path in there.iterdir()) == ["empty", "link", "run"]
    assert (there / "run").stat().st_mode & 0o777 == 0o755
    assert (there / "empty").stat().st_mode & 0o777 == 0o644
    assert (there / "link").readlink() == Path("deep/er")


def test_nothing_is_sent_twice_and_equal_files_are_linked(
    transport: Transport, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    content = _fill(here)
    (tmp_path / "empty").mkdir()
    first, second = (PurePosixPath(tmp_path / name) for name in ("first", "second"))
    assert transport.push(here, first) > 0
    assert transport.push(here, first) == 0
    another = PurePosixPath(tmp_path / "another project's")
    assert transport.push(tmp_path / "empty", another) == 0
    assert transport.push(here, second, files=[*content], link_dests=[another, first]) == 0
    assert Path(second / "deep/er/file").stat().st_ino == Path(first / "deep/er/file").stat().st_ino


def test_content_is_compared_where_size_and_time_are_not_enough(
    transport: Transport, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "file").write_text("old")
    transport.push(here, PurePosixPath(there))
    times = (here / "file").stat()
    (here / "file").write_text("new")
    os.utime(here / "file", ns=(times.st_atime_ns, times.st_mtime_ns))
    transport.push(here, PurePosixPath(there))
    assert (there / "file").read_text() == "old"
    transport.push(here, PurePosixPath(there), compare_content=True)
    assert (there / "file").read_text() == "new"


def test_transfers_go_side_by_side(transport: Transport, tmp_path: Path) -> None:
    here = tmp_path / "here"
    content = _fill(here)
    dests = [PurePosixPath(tmp_path / f"there{number}") for number in range(4)]
    threads = [threading.Thread(target=transport.push, args=(here, dest)) for dest in dests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(_content(Path(dest)) == content for dest in dests)


def test_a_pull_brings_regular_files_alone(transport: Transport, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    back.mkdir()
    (there / "link").symlink_to("/etc/passwd")
    os.mkfifo(there / "fifo")
    (there / "plain").write_text("x")
    (there / "plain").chmod(0o6777)
    (there / "folder").symlink_to("/etc")
    names = ["link", "fifo", "plain", "folder"]
    transport.pull(PurePosixPath(there), back, files=names, max_file=100, max_bytes=100)
    assert [path.name for path in back.iterdir()] == ["plain"]
    assert (back / "plain").stat().st_mode & 0o7777 == 0o600


def test_a_pull_of_many_names_is_several_and_one_that_lacks_a_file_costs_no_other(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rsync compares each name that comes with each that was asked for."""
    monkeypatch.setattr(ssh_transport, "FILES_A_PULL", 2)
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    back.mkdir()
    names = [f"file{number}" for number in range(5)]
    for name in names:
        (there / name).write_bytes(bytes(1000))
    reported: list[int] = []
    far = PurePosixPath(there)
    sent = transport.pull(
        far, back, files=names, max_file=1000, max_bytes=6000, progress=reported.append
    )
    assert sent == reported[-1] == 5000
    assert reported == sorted(reported)
    assert _content(back) == _content(there)

    (there / "file0").unlink()
    (back / "file4").unlink()
    with pytest.raises(PartialTransferError):
        transport.pull(far, back, files=names, max_file=1000, max_bytes=6000)
    assert (back / "file4").exists()


def test_a_pull_stops_above_its_cap(transport: Transport, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    back.mkdir()
    (there / "big").write_bytes(bytes(3_000_000))
    far = PurePosixPath(there)
    with pytest.raises(TransferError, match="more than the 1000 bytes"):
        transport.pull(far, back, files=["big"], max_file=3_000_000, max_bytes=1000)
    (back / "big").unlink(missing_ok=True)
    transport.pull(far, back, files=["big"], max_file=1000, max_bytes=9_000_000)
    assert not (back / "big").exists()
    assert transport.run(["echo", "alive"]).stdout == b"alive\n"


@contextmanager
def _cut_once_there_are_some(line: Line, folder: Path) -> Iterator[None]:
    """Cuts the line when the file that arrives in `folder` is larger than a megabyte."""

    def cut() -> None:
        wait_until(lambda: any(file.stat().st_size > 1_000_000 for file in folder.glob(".big.*")))
        line.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    yield
    thread.join()


def test_an_interrupted_pull_goes_on_where_it_was(
    openssh_server: Endpoint, over_line: Transport, line: Line, tmp_path: Path
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    back.mkdir()
    (there / "big").write_bytes(os.urandom(20_000_000))
    line.silent_after = 5_000_000

    def pull(transport: Transport) -> int:
        far = PurePosixPath(there)
        return transport.pull(far, back, files=["big"], max_file=20_000_000, max_bytes=40_000_000)

    with _cut_once_there_are_some(line, back), pytest.raises(UnreachableError, match=CUT):
        pull(over_line)
    over_line.close()
    arrived = (back / ".rsync-partial" / "big").stat().st_size
    assert arrived > 1_000_000
    again = connect(openssh_server, known_hosts=tmp_path / "known_hosts")
    assert pull(again) <= 20_000_000 - arrived + 100_000
    again.close()
    assert (back / "big").read_bytes() == (there / "big").read_bytes()


def test_a_missing_file_is_named(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match=r"absent.*run it again"):
        transport.push(tmp_path, PurePosixPath(tmp_path / "there"), files=["absent"])


def test_a_cut_line_in_a_transfer_is_unreachable(
    over_line: Transport, line: Line, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "big").write_bytes(os.urandom(20_000_000))
    line.silent_after = 5_000_000

    there = tmp_path / "there"
    with _cut_once_there_are_some(line, there), pytest.raises(UnreachableError, match=CUT):
        over_line.push(here, PurePosixPath(there))
    over_line.close()


def test_rsync_missing_on_the_pod_is_reported_with_its_cure(
    openssh_server: Endpoint, tmp_path: Path
) -> None:
    made = connect(openssh_server, known_hosts=tmp_path / "known_hosts")
    for name in ("mkdir", "sh"):  # without a sh the system's PATH would be added
        (tmp_path / name).symlink_to(f"/bin/{name}")
    made.run(["sh", "-c", 'echo "PATH=$1" >~/.bashrc', "sh", str(tmp_path)])
    try:
        with pytest.raises(UnreachableError, match="rsync is missing on the pod"):
            made.push(tmp_path, PurePosixPath(tmp_path / "there"))
    finally:
        made.run(["/bin/sh", "-c", "/bin/rm ~/.bashrc"])
        made.close()


def test_rsync_missing_here_is_reported_with_its_cure(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version.local_version.cache_clear()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(ConfigError, match="apt-get install rsync"):
            transport.push(tmp_path, PurePosixPath(tmp_path / "there"))
    version.local_version.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RSYNC_ICONV", "latin1,utf-8"),
        ("RSYNC_PROTECT_ARGS", "0"),
        ("RSYNC_OLD_ARGS", "1"),
        ("RSYNC_CHECKSUM_LIST", "md4"),
        ("RSYNC_PARTIAL_DIR", "elsewhere"),
        ("RSYNC_MAX_ALLOC", "1k"),
        ("RSYNC_RSH", "false"),
    ],
)
def test_the_users_settings_of_rsync_change_nothing(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    here, there = tmp_path / "here", tmp_path / "th'ere"
    here.mkdir()
    content = {"prüfung.csv": b"1", "a b.csv": b"2", "*.csv": b"3"}
    for file, data in content.items():
        (here / file).write_bytes(data)
    transport.push(here, PurePosixPath(there), files=[*content])
    assert _content(there) == content
