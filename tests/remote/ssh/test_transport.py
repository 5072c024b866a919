"""Commands, channels and transfers, on OpenSSH's sshd and on the embedded pod."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from moola_remote.errors import ConfigError, TransferError, UnreachableError
from moola_remote.rsync import process
from moola_remote.ssh import channel, liveness, ssh_transport
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.lines import Line
from tests.support.pods import wait_until

pytestmark = pytest.mark.process

ODD_WORDS = ["a b", "it's", '"', "$HOME", "`id`", ";", "", "-n", "new\nline", "ä→😀", "*", "\\"]
ODD_NAMES = [
    "a b",
    "it's",
    '"q"',
    "-rf",
    "new\nline",
    "ä→😀",
    "$HOME",
    "#c",
    ";x",
    "*",
    "[a]",
    "\\",
]


def test_arguments_arrive_as_they_are(transport: Transport) -> None:
    done = transport.run(["printf", "%s\\0", *ODD_WORDS])
    assert done.stdout.decode().split("\0")[:-1] == ODD_WORDS


def test_stdout_stderr_and_exit_code_are_kept_apart(transport: Transport) -> None:
    done = transport.run(["sh", "-c", "cat; echo warned >&2; exit 7"], stdin=b"given")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given", b"warned\n")


def test_a_signal_is_minus_one(transport: Transport) -> None:
    assert transport.run(["sh", "-c", "kill -TERM $$"]).returncode == -1


def test_many_bytes_go_both_ways_at_once(transport: Transport) -> None:
    data = os.urandom(1 << 20) * 20
    assert transport.run(["cat"], stdin=data).stdout == data


def test_a_flood_on_stderr_holds_nothing_up(transport: Transport) -> None:
    done = transport.run(["sh", "-c", "head -c 8000000 /dev/zero >&2; echo out"])
    assert done.stdout == b"out\n"
    assert len(done.stderr) == channel.STDERR_KEPT


def test_a_command_need_not_read_its_stdin(transport: Transport) -> None:
    assert transport.run(["true"], stdin=bytes(8_000_000)).returncode == 0


def test_a_command_that_does_not_end_is_given_up_at_its_deadline(transport: Transport) -> None:
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"sleep did not end within 0 s"):
        transport.run(["sleep", "30"], timeout_s=0.3)
    assert time.monotonic() - started < 5


def test_a_command_that_prints_without_end_is_given_up_at_the_cap(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_transport, "MAX_OUTPUT", 1_000_000)
    with pytest.raises(TransferError, match="yes printed more than 1000000 bytes"):
        transport.run(["yes"])


def test_a_channel_is_talked_to_while_it_runs(transport: Transport) -> None:
    channel = transport.open(["cat"])
    channel.write(b"one")
    assert channel.read(100, 10) == b"one"
    channel.write(b"two")
    assert channel.read(2, 10) == b"tw"
    assert channel.read(2, 10) == b"o"
    channel.close_stdin()
    assert channel.read(100, 10) == b""
    assert channel.returncode(10) == 0
    channel.close()


def test_silence_on_a_channel_ends_at_the_deadline(transport: Transport) -> None:
    channel = transport.open(["sleep", "30"])
    with pytest.raises(UnreachableError, match="no answer within"):
        channel.read(1, 0.1)
    channel.close()


def test_a_write_to_a_command_that_has_ended_is_an_error(transport: Transport) -> None:
    channel = transport.open(["true"])
    assert channel.read(1, 10) == b""
    channel.returncode(10)
    deadline = time.monotonic() + 10  # the channel closes a moment after the exit code
    with pytest.raises(UnreachableError, match="has ended"):  # noqa: PT012
        while time.monotonic() < deadline:
            channel.write(b"x")


def test_commands_run_side_by_side(transport: Transport) -> None:
    answers: dict[int, bytes] = {}

    def ask(number: int) -> None:
        answers[number] = transport.run(["sh", "-c", f"sleep 0.1; echo {number}"]).stdout

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: b"%d\n" % number for number in range(8)}


@pytest.fixture
def over_line(openssh_server: Endpoint, line: Line, tmp_path: Path) -> Transport:
    """A connection over a line that can be cut."""
    endpoint = dataclasses.replace(openssh_server, port=line.port)
    return connect(endpoint, known_hosts=tmp_path / "known_hosts")


def _errors_of(calls: list[Callable[[], object]]) -> list[str]:
    found = []
    for call in calls:
        with pytest.raises(UnreachableError) as caught:
            call()
        found.append(str(caught.value))
    return found


def test_a_cut_line_is_never_the_end_of_a_command(over_line: Transport, line: Line) -> None:
    channel = over_line.open(["sh", "-c", "echo first; sleep 30"])
    assert channel.read(100, 10) == b"first\n"
    line.cut()
    calls = [lambda: channel.read(1, 10), lambda: channel.returncode(10)]
    reported = _errors_of([*calls, lambda: channel.write(b"x"), lambda: over_line.run(["true"])])
    assert all("connection lost" in message for message in reported), reported
    over_line.close()


@pytest.fixture
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "KEEPALIVE_S", 0.2)


def test_a_pod_that_falls_silent_is_given_up(
    quick_heartbeat: None, over_line: Transport, line: Line
) -> None:
    channel = over_line.open(["sleep", "30"])
    line.fall_silent()
    (reported,) = _errors_of([lambda: channel.read(1, 30)])
    assert "nothing heard" in reported
    over_line.close()


def test_a_quiet_pod_that_answers_the_heartbeat_is_kept(
    quick_heartbeat: None, over_line: Transport
) -> None:
    assert over_line.run(["sh", "-c", "sleep 1.5; echo done"]).stdout == b"done\n"
    over_line.close()


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

    with _cut_once_there_are_some(line, back), pytest.raises(UnreachableError, match="lost"):
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
    with _cut_once_there_are_some(line, there), pytest.raises(UnreachableError, match="lost"):
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
    process.local_version.cache_clear()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(ConfigError, match="apt-get install rsync"):
            transport.push(tmp_path, PurePosixPath(tmp_path / "there"))
    process.local_version.cache_clear()
