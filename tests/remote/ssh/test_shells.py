"""Login shells of every kind, and rc files that print: commands and rsync go on all the same."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.errors import UnreachableError
from moola_remote.ssh.connect import connect
from moola_remote.ssh.marks import MAX_GREETING, MarkedChannel, ShellError, marked
from moola_remote.ssh.transport import Transport
from tests.remote.ssh.test_transport import ODD_WORDS
from tests.support.lanes import slowdown
from tests.support.odd_names import ODD_NAMES
from tests.support.servers import SSHD, running_openssh

pytestmark = pytest.mark.process

RC_FILES = {
    "bash": ".bashrc",
    "zsh": ".zshenv",
    "tcsh": ".cshrc",
    "fish": ".config/fish/config.fish",
    "dash": ".none",
}
Start = Callable[..., Transport]


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[Start]:
    """Connect to a server whose login shell is `shell`, which reads `rc` first."""
    if not SSHD.exists():
        pytest.skip("no OpenSSH server here: apt install openssh-server")
    with ExitStack() as stack:

        def started(shell: str, rc: str) -> Transport:
            path = shutil.which(shell)
            if path is None:
                pytest.skip(f"no {shell} here: apt install {shell}")
            # What sshd does for a user whose shell it is; bash is the shell of the tests' user.
            force = f'ForceCommand exec {path} -c "$SSH_ORIGINAL_COMMAND"'
            settings = "" if shell == "bash" else force
            server = stack.enter_context(running_openssh(tmp_path / "sshd", settings=settings))
            file = tmp_path / "sshd" / "home" / RC_FILES[shell]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(rc)
            transport = connect(server, known_hosts=tmp_path / "pins")
            stack.callback(transport.close)
            return transport

        yield started


@pytest.mark.parametrize("rc", ["", 'echo "Welcome, 1 GPU"\n', "sh -c 'echo Welcome >&2'\n"])
@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh", "fish", "dash"])
def test_answers_are_what_the_command_says(
    shell: str, rc: str, start: Start, tmp_path: Path
) -> None:
    transport = start(shell, rc)
    script = "cat; echo warned >&2; exit 7"
    done = transport.run(["sh", "-c", script], stdin=b"given")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given", b"warned\n")
    done = transport.run(["printf", "%s\\0", *ODD_WORDS, "!", "!!", "a!b"])
    assert done.stdout.decode().split("\0")[:-1] == [*ODD_WORDS, "!", "!!", "a!b"]
    here, back, there = (tmp_path / name for name in ("here", "back", "the're \\!"))
    here.mkdir()
    back.mkdir()
    for name in ODD_NAMES:
        (here / name).write_text(name)
    transport.push(here, PurePosixPath(there), files=ODD_NAMES)
    far = PurePosixPath(there)
    transport.pull(far, back, files=ODD_NAMES, max_file=1000, max_bytes=10_000)
    assert {path.name: path.read_text() for path in back.iterdir()} == {n: n for n in ODD_NAMES}


def test_bytes_that_are_no_text_and_an_alias_and_cd(start: Start) -> None:
    transport = start(
        "bash", "printf '\\033]0;pod\\007\\377\\0'; alias sh=false; cd /tmp; set -u\n"
    )
    assert transport.run(["sh", "-c", "echo a b"]).stdout == b"a b\n"
    assert transport.run(["cat"], stdin=bytes(range(256)) * 1000).stdout == bytes(range(256)) * 1000


@pytest.mark.parametrize(
    ("rc", "said"),
    [
        ("exit 0\n", "it said nothing"),
        ("echo not today; exit 1\n", "it said 'not today'"),
        ("exec cat /dev/null\n", "it said nothing"),
        ("echo no such shell >&2; exit 3\n", "it said 'no such shell'"),
    ],
)
def test_a_shell_that_ends_before_the_command_is_named_with_its_rc_file(
    rc: str, said: str, start: Start
) -> None:
    with pytest.raises(UnreachableError) as caught:
        start("bash", rc).run(["true"])
    assert f"the login shell ended before our command ran, {said}" in str(caught.value)
    assert "~/.bashrc" in caught.value.cure


def test_a_shell_that_prints_without_end_is_given_up(start: Start) -> None:
    with pytest.raises(UnreachableError, match=r"prints without end.*~/\.bashrc"):
        start("bash", "yes\n").run(["true"])


@pytest.mark.parametrize(
    "rc",
    [
        *("head -c 5000000 /dev/zero\n", "head -c 5000000 /dev/zero >&2\n", "printf hello\n"),
        *("exec 2>/dev/null\n", "read -t 0.3 word\n", "read -t 0.3 word; read -t 0.3 word\n"),
        *("timeout 0.3 cat >/dev/null\n", "cd /; set -eu; IFS=x\n", "printf() { echo no; }\n"),
    ],
)
def test_an_rc_file_may_print_megabytes_or_read_input(
    rc: str, start: Start, tmp_path: Path
) -> None:
    transport = start("bash", rc)
    for given in (b"", b"one\ntwo\n", b"\n", bytes(200_000)):
        done = transport.run(["sh", "-c", "cat; exit 7"], stdin=given)
        assert (done.returncode, done.stdout) == (7, given)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "file").write_bytes(bytes(100_000))
    transport.push(here, PurePosixPath(there))
    assert (there / "file").stat().st_size == 100_000


@pytest.mark.parametrize("rc", ["unset PATH\n", "export PATH=\n", "export PATH=/nowhere\n"])
def test_a_path_that_leads_nowhere_still_finds_the_system(rc: str, start: Start) -> None:
    transport = start("bash", rc)
    assert transport.run(["sh", "-c", "echo hi | cat"]).stdout == b"hi\n"
    found = transport.run(["/usr/bin/env"]).stdout.decode()
    assert "/usr/bin" in next(line for line in found.splitlines() if line.startswith("PATH="))


def test_a_path_that_leads_somewhere_is_left_alone(start: Start) -> None:
    transport = start("bash", "export PATH=/opt/x:/usr/bin:/bin\n")
    assert transport.run(["sh", "-c", "echo $PATH"]).stdout == b"/opt/x:/usr/bin:/bin\n"


@pytest.mark.parametrize(
    ("shell", "rc"),
    [
        *(("bash", "set -x\n"), ("bash", "set -v\n"), ("zsh", "setopt xtrace\n")),
        *(("tcsh", "set echo\n"), ("tcsh", "set verbose echo\n"), ("fish", "set fish_trace 1\n")),
    ],
)
def test_a_shell_that_shows_its_commands_is_not_taken_for_the_command(
    shell: str, rc: str, start: Start
) -> None:
    done = start(shell, rc).run(["sh", "-c", "cat; echo warned >&2; exit 7"], stdin=b"given")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given", b"warned\n")


@pytest.mark.parametrize("rc", ["exec 2>&1\n", "exec 2>&1; set -x; read -t 0.3 word\n"])
def test_a_shell_that_leads_stderr_to_stdout_shows_no_mark(rc: str, start: Start) -> None:
    done = start("bash", rc).run(["sh", "-c", "cat; echo warned >&2; exit 7"], stdin=b"given")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"givenwarned\n", b"")


def test_a_shell_that_sends_stderr_elsewhere_still_gets_the_agent(
    start: Start, tmp_path: Path
) -> None:
    """That it is missing is said on stderr."""
    transport = start("bash", "exec 2>/dev/null\n")
    assert Agent(transport, root=str(tmp_path / "root")).call("probe")["ok"] is True


def test_a_forced_command_is_named_as_a_reason(home: Path, tmp_path: Path) -> None:
    with running_openssh(tmp_path / "sshd", settings="ForceCommand echo you may not") as server:
        transport = connect(server, known_hosts=tmp_path / "pins")
        with pytest.raises(UnreachableError, match=r"you may not.*ForceCommand"):
            transport.run(["true"])
        transport.close()


def test_an_rc_file_that_waits_for_input_is_named(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moola_remote.ssh.marks.SHELL_PATIENCE_S", 1.0)
    with pytest.raises(UnreachableError, match=r"waits for input.*~/\.bashrc"):
        start("bash", "cat >/dev/null\n").run(["cat"], stdin=b"given")


class _Pieces:
    """A channel whose bytes come in given pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def recv(self, n: int) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if piece[n:]:
            self._pieces.insert(0, piece[n:])
        return piece[:n]

    recv_stderr = recv


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_mark_may_come_in_pieces(size: int) -> None:
    text = b"noise MA MAR\nMARK:out MARK: put"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    channel = MarkedChannel("pod", _Pieces(*pieces), "MARK:")
    found = b""
    while part := channel.recv(3):
        assert len(part) <= 3
        found += part
    assert found == b"out MARK: put"


def test_a_greeting_has_an_end() -> None:
    channel = MarkedChannel("pod", _Pieces(*[bytes(4096)] * (MAX_GREETING // 4096 + 2)), "MARK:")
    with pytest.raises(ShellError, match="prints without end"):
        channel.recv(10)


def test_what_every_shell_reads_alike_is_all_that_is_sent() -> None:
    words = marked("printf '%s' 'a!b\\' \"$HOME\"\n", "m:").split("' '", 1)[1]
    assert not set("!'\"$\n") & set(words.rpartition("'")[0])


def test_the_marks_cost_no_round_trip(start: Start) -> None:
    transport = start("dash", "")
    transport.run(["true"])
    started = time.monotonic()
    for _ in range(10):
        transport.run(["true"])
    took_s = time.monotonic() - started
    assert took_s < 10 * 0.5 * slowdown()
