"""The programs that use an SSH server: scp, sftp, rsync, port forwarding, Fabric."""

from __future__ import annotations

import asyncio
import random
import socket
import socketserver
import subprocess
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.remote.providers.conftest import Client
from tests.support.asyncssh_client import asyncssh_to

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.process


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
        async with asyncssh_to(client) as connection:
            lines = [f"sleep 0.{i % 3}; printf %s {i}" for i in range(8)]
            done = await asyncio.gather(*(connection.run(line) for line in lines))
            return [str(each.stdout) for each in done]

    assert asyncio.run(all_at_once()) == [str(i) for i in range(8)]
