"""The embedded pod is a real SSH server: its clients can't distinguish it from OpenSSH's."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import shlex
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from moola_remote.providers.local.pty import set_size
from tests.remote.providers.conftest import Client
from tests.support.servers import changed_signals

if TYPE_CHECKING:
    import asyncssh

pytestmark = pytest.mark.process

MANY = 8_000_000  # four of the 2 MiB windows in which SSH lets a side send


@pytest.fixture(scope="module")
def many_bytes() -> bytes:
    return random.Random(1).randbytes(MANY)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files whose names a shell would misread, one of them big."""
    tree = tmp_path / "here"
    (tree / "a dir").mkdir(parents=True)
    for name in ("plain", "a dir/with space", "quote's; echo x", "new\nline", "-n"):
        (tree / name).write_text(name)
    (tree / "big").write_bytes(random.Random(2).randbytes(3_000_000))
    return tree


def content(tree: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(tree)): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }


def wait_for(path: Path) -> str:
    """The text of a file that a command on the server is about to write."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.01)
    raise AssertionError(f"{path} was never written")


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
        assert process.wait(timeout=20) == 4


def test_control_c_in_a_terminal_interrupts_the_command(client: Client) -> None:
    line = "trap 'exit 130' INT; tty; echo ready; while :; do sleep 0.02; done"
    with in_terminal(client, line, (80, 24)) as (master, process):
        assert b"/dev/" in read_until(master, b"ready")
        os.write(master, b"\x03")
        assert process.wait(timeout=20) == 130


def test_terminal_modes_of_the_client_are_taken_over(client: Client) -> None:
    import asyncssh

    async def show() -> str:
        async with _asyncssh(client) as connection:
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
        async with _asyncssh(client) as connection:
            process = await connection.create_process("echo ready; exec sleep 60")
            process.stdin.write_eof()
            await process.stdout.readline()
            process.terminate()
            signal = (await process.wait()).exit_signal
            return signal[0] if signal else None

    assert asyncio.run(terminate()) == "TERM"


@asynccontextmanager
async def _asyncssh(client: Client) -> AsyncIterator[asyncssh.SSHClientConnection]:
    import asyncssh

    endpoint = client.endpoint
    known = asyncssh.import_known_hosts(f"[{endpoint.host}]:{endpoint.port} {endpoint.known_key}\n")
    async with asyncssh.connect(
        endpoint.host,
        endpoint.port,
        username=endpoint.user,
        client_keys=[str(endpoint.identity_file)],
        known_hosts=known,
        config=None,
    ) as connection:
        yield connection


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


@pytest.mark.parametrize("mode", ["-O", "-s"])
def test_scp_copies_both_ways(client: Client, tree: Path, tmp_path: Path, mode: str) -> None:
    (tree / "new\nline").unlink()  # a name that scp itself spoils
    there, back = tmp_path / "there", tmp_path / "back"
    sent = Client.run("scp", mode, "-qr", *client.options, str(tree), client.at(there))
    assert (sent.returncode, sent.stderr) == (0, b"")
    fetched = Client.run("scp", mode, "-qr", *client.options, client.at(there), str(back))
    assert (fetched.returncode, fetched.stderr) == (0, b"")
    assert content(back) == content(tree)
    assert Client.run("scp", mode, *client.options, client.at("/none"), str(back)).returncode == 1


def test_sftp_runs_a_batch(client: Client, tree: Path, tmp_path: Path) -> None:
    batch = (
        f'put "{tree}/big" {tmp_path}/big\nmkdir {tmp_path}/new\nget {tmp_path}/big {tmp_path}/2\n'
    )
    argv = ["sftp", "-q", "-b", "-", *client.options, client.endpoint.host]
    assert Client.run(*argv, stdin=batch.encode()).returncode == 0
    assert (tmp_path / "2").read_bytes() == (tree / "big").read_bytes()
    assert (tmp_path / "new").is_dir()
    assert Client.run(*argv, stdin=b"get /none\n").returncode == 1


def test_rsync_pushes_and_pulls_and_sends_nothing_twice(
    client: Client, tree: Path, tmp_path: Path
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    assert client.rsync("-a", f"{tree}/", client.at(f"{there}/")).returncode == 0
    again = client.rsync("-ai", f"{tree}/", client.at(f"{there}/"))
    assert (again.returncode, again.stdout) == (0, b"")
    assert client.rsync("-a", client.at(f"{there}/"), f"{back}/").returncode == 0
    assert content(back) == content(tree)


def test_rsync_returns_its_error_codes(client: Client, tmp_path: Path) -> None:
    assert client.rsync("-a", client.at("/none/"), str(tmp_path)).returncode == 23
    far = client.rsync("-a", "--rsync-path=/none/rsync", client.at("/tmp/"), str(tmp_path))
    assert far.returncode in (12, 127)


def test_a_control_master_is_shared(client: Client) -> None:
    # Not tmp_path: the path of a socket has at most 104 characters on macOS.
    with TemporaryDirectory(prefix="moola-") as folder:
        path = ("-o", f"ControlPath={folder}/m")
        master = ("-o", "ControlMaster=auto", "-o", "ControlPersist=60", *path)
        started = Client.run(
            *("sh", "-c", 'exec "$@" 2>/dev/null', "sh", "ssh"),
            *(*client.options, *master, client.endpoint.host, "echo one"),
        )
        assert started.stdout == b"one\n"
        try:
            for number in range(3):
                done = client.ssh(f"echo {number}; exit {number}", options=path)
                assert (done.returncode, done.stdout) == (number, f"{number}\n".encode())
        finally:
            assert client.ssh(options=("-O", "exit", *path)).returncode == 0


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline().upper())


def test_a_port_is_forwarded(client: Client) -> None:
    with (
        socketserver.TCPServer(("127.0.0.1", 0), _Echo) as far,
        TemporaryDirectory(prefix="moola-") as folder,
    ):
        threading.Thread(target=far.handle_request, daemon=True).start()
        forward = f"{folder}/near:127.0.0.1:{far.server_address[1]}"
        argv = ["ssh", "-L", forward, *client.options, client.endpoint.host, "echo ready; cat"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tunnel:
            assert tunnel.stdout
            assert tunnel.stdout.readline() == b"ready\n"
            with socket.socket(socket.AF_UNIX) as near:
                near.connect(f"{folder}/near")
                near.sendall(b"through\n")
                assert near.recv(100) == b"THROUGH\n"
            tunnel.kill()


def test_fabric_runs_and_copies(client: Client, tmp_path: Path) -> None:
    fabric = pytest.importorskip("fabric")
    endpoint = client.endpoint
    connection = fabric.Connection(
        endpoint.host,
        user=endpoint.user,
        port=endpoint.port,
        config=fabric.Config(lazy=True),
        connect_kwargs={
            "key_filename": str(endpoint.identity_file),
            "allow_agent": False,
            "look_for_keys": False,
        },
    )
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    with connection:
        done = connection.run(
            "echo out; echo err >&2; exit 3", hide=True, warn=True, in_stream=False
        )
        assert (done.return_code, done.stdout, done.stderr) == (3, "out\n", "err\n")
        connection.put(str(tmp_path / "a"), str(tmp_path / "b"))
        connection.get(str(tmp_path / "b"), str(tmp_path / "c"))
        assert connection.run("stty size", pty=True, hide=True, in_stream=False).ok
    assert (tmp_path / "c").read_bytes() == b"x" * 100_000


def test_many_commands_at_once_keep_their_own_bytes(client: Client) -> None:
    async def all_at_once() -> list[str]:
        async with _asyncssh(client) as connection:
            lines = [f"sleep 0.{i % 3}; printf %s {i}" for i in range(8)]
            done = await asyncio.gather(*(connection.run(line) for line in lines))
            return [str(each.stdout) for each in done]

    assert asyncio.run(all_at_once()) == [str(i) for i in range(8)]
