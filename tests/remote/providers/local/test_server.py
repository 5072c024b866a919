"""The embedded pod is a real SSH server: its clients can't distinguish it from OpenSSH's."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moola_remote.providers.local.pty import set_size
from tests.remote.providers.conftest import Client
from tests.support.asyncssh_client import asyncssh_to
from tests.support.lanes import HANGS_S
from tests.support.pods import wait_until
from tests.support.servers import changed_signals

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.process

MANY = 8_000_000  # four of the 2 MiB windows in which SSH lets a side send


@pytest.fixture(scope="module")
def many_bytes() -> bytes:
    return random.Random(1).randbytes(MANY)


def wait_for(path: Path) -> str:
    """The text of a file that a command on the server is about to write."""
    text: str = wait_until(lambda: path.exists() and path.read_text())
    return text


def test_exit_code_and_both_outputs_arrive_apart(client: Client) -> None:
    done = client.ssh("echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_a_command_that_a_signal_ends_is_distinguished_from_one_that_exits(client: Client) -> None:
    # 255 is what OpenSSH's client makes of an exit-signal.
    assert client.ssh("kill -TERM $$").returncode == 255


def test_a_command_line_is_read_by_the_users_shell_as_it_is(client: Client) -> None:
    odd = 'a\'b; echo $HOME "q" \\ \n-n'
    assert client.ssh(shlex.join(["printf", "%s", odd])).stdout == odd.encode()


def test_every_byte_of_a_big_output_arrives(client: Client) -> None:
    done = client.ssh(f"head -c {MANY} /dev/zero; head -c {MANY} /dev/zero >&2")
    assert (done.returncode, len(done.stdout), len(done.stderr)) == (0, MANY, MANY)


def test_every_byte_of_a_big_input_arrives(client: Client, many_bytes: bytes) -> None:
    done = client.ssh("sha256sum", stdin=many_bytes)
    assert done.stdout.split()[0].decode() == hashlib.sha256(many_bytes).hexdigest()


def test_both_directions_at_once_lose_nothing(client: Client, many_bytes: bytes) -> None:
    assert client.ssh("cat", stdin=many_bytes).stdout == many_bytes


def test_input_that_the_command_does_not_read_is_dropped(client: Client, many_bytes: bytes) -> None:
    done = client.ssh("head -c 3; exit 5", stdin=many_bytes)
    assert (done.returncode, done.stdout) == (5, many_bytes[:3])


def test_without_a_command_the_login_shell_reads_stdin(client: Client) -> None:
    done = client.ssh(stdin=b"echo $0; exit 3\n")
    assert done.returncode == 3
    assert done.stdout.startswith(b"-")


def test_a_command_has_a_sane_environment(client: Client) -> None:
    done = client.ssh(
        'cd; pwd; echo "$HOME"; echo "$USER $LOGNAME"; command -v rsync sh >/dev/null'
    )
    here, home, names = done.stdout.decode().splitlines()
    assert done.returncode == 0
    assert (
        here == home == client.ssh("pwd").stdout.decode().strip()
        or client.endpoint.name == "openssh"
    )
    assert names == f"{client.endpoint.user} {client.endpoint.user}"


def test_a_command_leads_its_session_with_default_signals_and_no_foreign_fd(
    client: Client,
) -> None:
    done = client.ssh(
        'ps -o sid= -p $$; echo $$; grep -E "^Sig(Blk|Ign)" /proc/self/status; ls /proc/self/fd'
    )
    session, pid, blocked, ignored, *fds = done.stdout.decode().split("\n")[:-1]
    assert session.strip() == pid or client.endpoint.name == "openssh"
    assert changed_signals(blocked) == changed_signals(ignored) == 0
    assert fds == ["0", "1", "2", "3"]  # the last is ls reading the folder


def test_the_channel_waits_for_whoever_holds_the_output(client: Client) -> None:
    assert client.ssh("(sleep 0.3; echo late) & echo first").stdout == b"first\nlate\n"


def test_a_detached_process_outlives_its_session(client: Client, tmp_path: Path) -> None:
    job = f"exec >/dev/null 2>&1 </dev/null; until [ -e {tmp_path}/go ]; do sleep 0.02; done; "
    job += f"echo done >{tmp_path}/end"
    done = client.ssh(f"setsid sh -c {shlex.quote(job)} >/dev/null 2>&1 </dev/null & echo started")
    assert done.stdout == b"started\n"
    (tmp_path / "go").touch()
    assert wait_for(tmp_path / "end") == "done\n"


def test_a_lost_client_kills_nothing(client: Client, tmp_path: Path) -> None:
    line = f"trap '' PIPE; echo $$ >{tmp_path}/pid; cat >/dev/null; echo on >{tmp_path}/end"
    argv = ["ssh", *client.options, client.endpoint.host, line]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as lost:
        wait_for(tmp_path / "pid")
        lost.kill()
    assert wait_for(tmp_path / "end") == "on\n"


@contextmanager
def in_terminal(
    client: Client, line: str, size: tuple[int, int]
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """``ssh -tt`` in a terminal of ours, its fd and process."""
    master, slave = os.openpty()
    set_size(master, (*size, 0, 0))
    argv = ["ssh", "-tt", *client.options, client.endpoint.host, line]
    try:
        with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave) as process:
            os.close(slave)
            yield master, process
            process.kill()
    finally:
        os.close(master)


def read_until(master: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        seen += os.read(master, 4096)  # the pytest timeout is the deadline
    return seen


def test_a_terminal_has_the_clients_size_and_follows_it(client: Client) -> None:
    line = "stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.02; done"
    with in_terminal(client, line, (132, 50)) as (master, process):
        assert b"50 132" in read_until(master, b"ready")
        set_size(master, (91, 33, 0, 0))
        process.send_signal(28)  # SIGWINCH: the terminal is not the client's controlling one
        assert b"33 91" in read_until(master, b"91")
        assert process.wait(timeout=HANGS_S) == 4


def test_control_c_in_a_terminal_interrupts_the_command(client: Client) -> None:
    line = "trap 'exit 130' INT; tty; echo ready; while :; do sleep 0.02; done"
    with in_terminal(client, line, (80, 24)) as (master, process):
        assert b"/dev/" in read_until(master, b"ready")
        os.write(master, b"\x03")
        assert process.wait(timeout=HANGS_S) == 130


def test_terminal_modes_of_the_client_are_taken_over(client: Client) -> None:
    import asyncssh

    async def show() -> str:
        async with asyncssh_to(client) as connection:
            modes = {asyncssh.PTY_VERASE: 8, asyncssh.PTY_ECHO: 0, asyncssh.PTY_VINTR: 24}
            done = await connection.run("stty -a", term_type="xterm", term_modes=modes)
            return str(done.stdout)

    shown = asyncio.run(show())
    assert re.search(r"erase = \^H", shown)
    assert re.search(r"intr = \^X", shown)
    assert re.search(r"[ ;]-echo[ ;]", shown)


def test_a_signal_reaches_a_command_whose_stdin_has_ended(client: Client) -> None:
    if client.endpoint.name == "openssh":
        pytest.skip("OpenSSH refuses signals without privilege separation, as for root")

    async def terminate() -> str | None:
        async with asyncssh_to(client) as connection:
            process = await connection.create_process("echo ready; exec sleep 60")
            process.stdin.write_eof()
            await process.stdout.readline()
            process.terminate()
            signal = (await process.wait()).exit_signal
            return signal[0] if signal else None

    assert asyncio.run(terminate()) == "TERM"


def test_another_key_another_user_and_a_password_are_refused(
    client: Client, tmp_path: Path
) -> None:
    Client.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other"))
    index = client.options.index("-i")
    other_key = [
        *client.options[: index + 1],
        str(tmp_path / "other"),
        *client.options[index + 2 :],
    ]
    no_key = [*client.options[:index], *client.options[index + 2 :]]
    attempts = {
        "key": [*other_key],
        "user": ["-o", "User=nobody", *client.options],
        "password": ["-o", "PreferredAuthentications=password,keyboard-interactive", *no_key],
    }
    for name, options in attempts.items():
        done = Client.run("ssh", *options, client.endpoint.host, "true")
        assert done.returncode == 255, name
        assert b"ermission denied" in done.stderr, name
