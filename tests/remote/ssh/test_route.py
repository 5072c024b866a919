"""Jump hosts, ProxyCommand, aliases and IPv6, on real servers."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from moola_remote.errors import ConfigError, HostKeyError, UnreachableError
from moola_remote.ssh.command_line import ssh_argv
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import KnownHosts
from tests.remote.ssh.conftest import Through, greet, lines_of, refusal, vouch
from tests.support.servers import running_openssh

pytestmark = pytest.mark.process


def test_an_alias_leads_to_the_pod(through: Through, tmp_path: Path) -> None:
    endpoint = through("Host box\n  {pod}")
    assert endpoint.host == "127.0.0.1"
    greet(endpoint, tmp_path)


def test_one_jump(through: Through, bastion: Endpoint, dot_ssh: Path, tmp_path: Path) -> None:
    vouch(dot_ssh, bastion)
    jump = f"Host bastion\n  {lines_of(bastion)}"
    greet(through(f"Host box\n  {{pod}}  ProxyJump bastion\n{jump}"), tmp_path)
    # Its key has been pinned: what known_hosts says later is another matter.
    (dot_ssh / "known_hosts").unlink()
    greet(through(f"Host box\n  {{pod}}  ProxyJump bastion\n{jump}"), tmp_path)
    assert KnownHosts(tmp_path / "pins").get("jump-bastion")


def test_two_jumps_and_the_first_ones_own_jump(
    through: Through, bastion: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    with running_openssh(tmp_path / "inner") as inner, running_openssh(tmp_path / "first") as first:
        for server in (bastion, inner, first):
            vouch(dot_ssh, server)
        jumps = (
            f"Host bastion\n  {lines_of(bastion)}  ProxyJump first\n"
            f"Host inner\n  {lines_of(inner)}  ProxyJump never-asked\n"
            f"Host first\n  {lines_of(first)}"
        )
        endpoint = through(f"Host box\n  {{pod}}\n{jumps}", ssh_options=["ProxyJump=bastion,inner"])
        greet(endpoint, tmp_path)
        for server in (bastion, inner, first):
            log = (Path(server.root).parent / "sshd.log").read_text()
            assert log.count("Accepted publickey") == 1, server.name


def test_a_jump_with_an_unknown_key_asks_or_refuses(
    through: Through, bastion: Endpoint, tmp_path: Path
) -> None:
    endpoint = through(f"Host box\n  {{pod}}  ProxyJump bastion\nHost bastion\n{lines_of(bastion)}")
    error = refusal(endpoint, tmp_path)
    assert isinstance(error, HostKeyError)
    assert "jump-bastion" in str(error)
    asked: list[str] = []

    def ask(shown: str) -> bool:
        asked.append(shown)
        return True

    connect(endpoint, known_hosts=tmp_path / "pins", ask=ask).close()
    assert asked == [f"{bastion.host_key} (jump host 127.0.0.1)"]


def test_jumps_in_a_circle_are_named(through: Through, tmp_path: Path) -> None:
    config = "Host box\n ProxyJump a\nHost a\n ProxyJump b\nHost b\n ProxyJump a\n"
    error = refusal(through(config), tmp_path)
    assert isinstance(error, ConfigError)
    assert "circle: box -> a -> b -> a" in str(error)
    with pytest.raises(ConfigError, match="jumphost loop via box"):
        through("Host box\n ProxyJump box\n")


def test_a_dead_bastion_is_named(through: Through, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config = f"Host box\n  {{pod}}  ProxyJump dead\nHost dead\n  HostName 127.0.0.1\n  Port {port}"
    error = refusal(through(config), tmp_path)
    assert isinstance(error, UnreachableError)
    assert f"jump host jump-dead (127.0.0.1:{port}): connection refused" in str(error)


def test_a_bastion_that_does_not_know_the_key(
    through: Through, bastion: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    vouch(dot_ssh, bastion)
    jump = lines_of(bastion).replace(str(bastion.identity_file), "/none")
    error = refusal(through(f"Host box\n  {{pod}}  ProxyJump b\nHost b\n  {jump}"), tmp_path)
    assert "jump host jump-b" in str(error)
    assert "no key to offer" in str(error)


def test_a_bastion_that_reaches_no_pod_or_may_not(
    through: Through, bastion: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    vouch(dot_ssh, bastion)
    jump = f"Host b\n  {lines_of(bastion)}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config = f"Host box\n  HostName 127.0.0.1\n  Port {port}\n  ProxyJump b\n{jump}"
    error = refusal(through(config), tmp_path)
    assert "not reached from the jump host jump-b" in str(error)
    assert "does the jump host know this name and port" in error.cure


def test_a_proxy_command_is_a_line_of_the_shell(through: Through, tmp_path: Path) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(RELAY)
    command = f"python3 {relay} %h %p 2>{tmp_path}/said | cat"
    greet(through(f"Host box\n  {{pod}}  ProxyCommand sh -c '{command}'\n"), tmp_path)
    assert (tmp_path / "said").read_text() == "relay\n"


RELAY = """\
import os, socket, sys, threading
print("relay", file=sys.stderr)
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def send():
    while data := os.read(0, 65536):
        far.sendall(data)
    far.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := far.recv(65536):
    os.write(1, data)
"""


def test_a_proxy_command_that_fails_is_reported_with_its_words(
    through: Through, tmp_path: Path
) -> None:
    config = "Host box\n  {pod}  ProxyCommand echo no such proxy >&2; exit 1\n"
    error = refusal(through(config), tmp_path)
    assert "its ProxyCommand leads to no SSH server: no such proxy" in str(error)
    assert error.cure.startswith("try by hand: echo no such proxy")


def test_a_proxy_command_that_prints_junk_is_reported_with_it(
    through: Through, tmp_path: Path
) -> None:
    error = refusal(through("Host box\n  {pod}  ProxyCommand echo please log in\n"), tmp_path)
    assert "leads to no SSH server: it said please log in" in str(error)
    silent = refusal(through("Host box\n  {pod}  ProxyCommand true\n"), tmp_path)
    assert "leads to no SSH server: it said nothing" in str(silent)


def test_lines_before_the_servers_own_are_no_junk(through: Through, tmp_path: Path) -> None:
    """RFC 4253 lets a server, and so a proxy, say something first."""
    (tmp_path / "relay.py").write_text(RELAY)
    command = f"echo welcome; exec python3 {tmp_path}/relay.py %h %p"
    wrong = through(f"Host box\n  {{pod}}  ProxyCommand sh -c '{command}'\n")
    greet(wrong, tmp_path)
    wrong = dataclasses.replace(wrong, known_key=None, host_key="SHA256:no")
    assert "ProxyCommand" not in str(refusal(wrong, tmp_path / "other"))


def test_a_proxy_command_may_pass_a_socket(through: Through, tmp_path: Path) -> None:
    script = tmp_path / "pass.py"
    script.write_text(
        "import socket, sys\n"
        "far = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "out = socket.socket(fileno=1)\n"
        "socket.send_fds(out, [b'x'], [far.fileno()])\n"
    )
    command = f"ProxyCommand python3 {script} %h %p\n  ProxyUseFdpass yes"
    greet(through(f"Host box\n  {{pod}}  {command}\n"), tmp_path)
    error = refusal(
        through("Host box\n  {pod}  ProxyCommand echo no >&2\n  ProxyUseFdpass yes\n"), tmp_path
    )
    assert "passes no connected socket: no" in str(error)


def test_a_wrong_alias_says_where_an_alias_belongs(through: Through, tmp_path: Path) -> None:
    error = refusal(through("Host other\n  {pod}"), tmp_path)
    assert "no such host name" in str(error)
    assert "~/.ssh/config" in error.cure


def test_a_shell_takes_the_same_way(through: Through, tmp_path: Path) -> None:
    endpoint = through("Host box\n  {pod}", port=2222, ssh_options=["ProxyJump=a"])
    argv = ssh_argv(endpoint, tmp_path / "pins")
    assert argv[-2:] == ["--", "box"]
    assert " ".join(argv).count("-p 2222 -o ProxyJump=a") == 1


def test_a_long_transfer_goes_through_a_jump(
    through: Through, bastion: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    vouch(dot_ssh, bastion)
    endpoint = through(f"Host box\n  {{pod}}  ProxyJump b\nHost b\n  {lines_of(bastion)}")
    transport = connect(endpoint, known_hosts=tmp_path / "pins")
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "big").write_bytes(bytes(range(256)) * 40_000)
    try:
        transport.push(here, there)  # type: ignore[arg-type]
    finally:
        transport.close()
    assert (there / "big").read_bytes() == (here / "big").read_bytes()
