"""One connection of OpenSSH's client for many commands: whose it is, when it is none, its end."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.errors import HostKeyError, UnreachableError
from moola_remote.ssh import master, mux
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import KnownHosts, fingerprint
from moola_remote.ssh.keeping import Keeping, keeping
from moola_remote.ssh.keys import KeySource
from moola_remote.ssh.link import ParamikoLink
from moola_remote.ssh.master import MasterLink
from moola_remote.ssh.transport import Transport
from tests.remote.conftest import by_client, configured
from tests.remote.ssh.conftest import keygen
from tests.support.lanes import HANGS_S
from tests.support.lines import Line
from tests.support.masters import end_masters, masters, sockets
from tests.support.pods import wait_until
from tests.support.servers import SSHD, running_openssh
from tests.support.small_disks import small_disk

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server that starts one command at a time on a connection."""
    if not SSHD.exists():
        pytest.skip("no OpenSSH server here: apt install openssh-server")
    folder = tmp_path_factory.mktemp("server") / "sshd"
    with running_openssh(folder, settings="MaxSessions 1") as endpoint:
        yield endpoint


@pytest.fixture
def pins(server: Endpoint, tmp_path: Path) -> Path:
    """A file that has the server's key."""
    assert server.known_key
    path = tmp_path / "pins"
    KnownHosts(path).pin(server.name, base64.b64decode(server.known_key.split()[1]))
    return path


def _logins(server: Endpoint) -> int:
    assert server.identity_file
    log = server.identity_file.with_name("sshd.log").read_text()
    return log.count("Accepted publickey")


def _processes(keep: Keeping) -> list[int]:
    """Those that have a path of the folder in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if bytes(keep.folder) in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _link(transport: Transport) -> object:
    return vars(transport)["_link"]


def test_commands_one_after_the_other_log_in_once(
    server: Endpoint, pins: Path, keep: Keeping
) -> None:
    before = _logins(server)
    for number in range(3):
        transport = connect(configured(server), known_hosts=pins, keep=keep)
        assert transport.run(["echo", str(number)]).stdout == b"%d\n" % number
        transport.close()
    assert _logins(server) == before + 1


def test_beyond_what_the_server_allows_paramiko_connects(
    server: Endpoint, pins: Path, keep: Keeping
) -> None:
    transport = connect(configured(server), known_hosts=pins, keep=keep)
    before = _logins(server)
    first = transport.open(["cat"])
    first.write(b"one")
    assert first.read(10, HANGS_S) == b"one"
    assert transport.run(["echo", "two"]).stdout == b"two\n"
    first.write(b"still")
    assert first.read(10, HANGS_S) == b"still"
    assert _logins(server) == before + 1
    transport.close()
    assert len(masters(keep.folder)) == 1


def test_a_dead_master_costs_another_login_and_no_error(
    server: Endpoint, pins: Path, keep: Keeping
) -> None:
    transport = connect(configured(server), known_hosts=pins, keep=keep)
    assert transport.run(["true"]).returncode == 0
    (pid,) = masters(keep.folder)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not masters(keep.folder))
    assert transport.run(["echo", "again"]).stdout == b"again\n"
    assert isinstance(_link(transport), MasterLink)
    transport.close()


def test_a_master_that_ends_under_a_command_is_a_lost_connection(
    server: Endpoint, pins: Path, keep: Keeping
) -> None:
    transport = connect(configured(server), known_hosts=pins, keep=keep)
    channel = transport.open(["sh", "-c", "echo first; sleep 600"])
    assert channel.read(10, HANGS_S) == b"first\n"
    (pid,) = masters(keep.folder)
    os.kill(pid, signal.SIGKILL)
    # Another command makes one at the same path meanwhile: not that of our command.
    wait_until(lambda: not masters(keep.folder))
    connect(configured(server), known_hosts=pins, keep=keep).close()
    assert masters(keep.folder)
    with pytest.raises(UnreachableError, match="connection lost"):
        channel.read(10, HANGS_S)
    with pytest.raises(UnreachableError, match="connection lost"):
        channel.returncode(HANGS_S)
    transport.close()


def test_after_a_sleep_of_the_laptop_the_dead_connection_is_left(
    server: Endpoint, pins: Path, keep: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(server.port)
    endpoint = configured(dataclasses.replace(server, port=line.port))
    try:
        transport = connect(endpoint, known_hosts=pins, keep=keep)
        assert transport.run(["true"]).returncode == 0
        (first,) = masters(keep.folder)
        line.fall_silent()
        monkeypatch.setattr(mux, "SESSION_TIMEOUT_S", 0.5)

        def speak() -> None:
            """Carry on for the new connection, and let it take its time."""
            wait_until(lambda: set(_processes(keep)) - {first})
            mux.SESSION_TIMEOUT_S = HANGS_S
            line.speak()

        threading.Thread(target=speak, daemon=True).start()
        assert transport.run(["echo", "awake"]).stdout == b"awake\n"
        assert masters(keep.folder) != [first]
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGTERM)
    finally:
        transport.close()
        line.cut()


def test_a_client_that_is_killed_while_it_logs_in_leaves_one_master_at_most(
    server: Endpoint, pins: Path, keep: Keeping
) -> None:
    line = Line(server.port)
    endpoint = configured(dataclasses.replace(server, port=line.port))
    try:
        line.fall_silent()
        client = os.fork()
        if client == 0:
            connect(endpoint, known_hosts=pins, keep=keep)
            os._exit(1)
        wait_until(lambda: _processes(keep))
        os.kill(client, signal.SIGKILL)
        os.waitpid(client, 0)
        before = _logins(server)
        threading.Timer(0.5, line.speak).start()
        transport = connect(endpoint, known_hosts=pins, keep=keep)
        assert transport.run(["echo", "here"]).stdout == b"here\n"
        assert _logins(server) == before + 1
        assert len(_processes(keep)) == len(masters(keep.folder)) == 1
        transport.close()
    finally:
        line.cut()


def test_a_close_ends_what_the_connection_carries(
    server: Endpoint, pins: Path, keep: Keeping
) -> None:
    transport = connect(configured(server), known_hosts=pins, keep=keep)
    channel = transport.open(["cat"])
    failed: list[Exception] = []

    def read() -> None:
        try:
            channel.read(10)
        except UnreachableError as err:
            failed.append(err)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.1)
    transport.close()
    reader.join(HANGS_S)
    assert "connection lost" in str(failed[0])
    assert masters(keep.folder)


def test_a_login_that_asks_is_left_to_us_and_not_tried_again_at_once(
    home: Path, tmp_path: Path, keep: Keeping
) -> None:
    key = keygen(tmp_path / "locked", passphrase="secret")
    public = key.with_name("locked.pub").read_text()
    with running_openssh(tmp_path / "sshd", public_key=public) as server:
        endpoint = configured(dataclasses.replace(server, identity_file=key))
        pins = tmp_path / "pins"
        for _ in ("the first contact", "what OpenSSH can't do", "without another try of it"):
            transport = connect(
                endpoint, known_hosts=pins, keep=keep, ask_passphrase=lambda _: "secret"
            )
            assert transport.run(["true"]).returncode == 0
            transport.close()
            assert isinstance(_link(transport), ParamikoLink)
        log = (tmp_path / "sshd" / "sshd.log").read_text()
        assert log.count("Connection closed by authenticating user") == 1
    assert not sockets(keep.folder)


def test_another_key_than_the_pin_is_refused_whatever_the_configuration_says(
    server: Endpoint, tmp_path: Path, dot_ssh: Path, keep: Keeping
) -> None:
    (dot_ssh / "config").write_text(
        "Host *\n  NoHostAuthenticationForLocalhost yes\n  StrictHostKeyChecking no\n"
        f"  UserKnownHostsFile {dot_ssh / 'known_hosts'}\n  VerifyHostKeyDNS yes\n"
    )
    (dot_ssh / "known_hosts").write_text(f"[{server.host}]:{server.port} {server.known_key}\n")
    pins = tmp_path / "pins"
    other = keygen(tmp_path / "other").with_name("other.pub").read_text().split()[1]
    KnownHosts(pins).pin(server.name, base64.b64decode(other))
    endpoint = dataclasses.replace(configured(server), known_key=None, host_key=None)
    with pytest.raises(HostKeyError, match="has changed"):
        connect(endpoint, known_hosts=pins, keep=keep)
    assert not sockets(keep.folder)


def test_what_openssh_would_judge_otherwise_is_left_to_us(
    server: Endpoint, pins: Path, tmp_path: Path, keep: Keeping
) -> None:
    endpoint = configured(server)
    known = KnownHosts(pins)
    assert endpoint.host_config
    assert master.find(endpoint, known, keep, timeout_s=HANGS_S)

    def by(**changes: object) -> Endpoint:
        config = dataclasses.replace(endpoint.host_config, **changes)  # type: ignore[type-var]
        return dataclasses.replace(endpoint, host_config=config)

    revoked = tmp_path / "known_hosts"
    revoked.write_text(f"@revoked [{server.host}]:{server.port} {server.known_key}\n")
    key = keygen(tmp_path / "another")
    left = [
        dataclasses.replace(endpoint, name="unknown"),
        dataclasses.replace(endpoint, known_key=None, host_key="SHA256:" + "x" * 43),
        by(jumps=("bastion",)),
        by(known_hosts_command="/bin/true"),
        by(known_hosts=(revoked,)),
        by(identity_files=(key,)),
    ]
    assert [one for one in left if master.find(one, known, keep, timeout_s=HANGS_S)] == []


def test_a_pod_that_no_file_of_the_user_is_about_is_reached_past_all_of_them(
    server: Endpoint, pins: Path, dot_ssh: Path, keep: Keeping
) -> None:
    (dot_ssh / "config").write_text("Host *\n  ProxyCommand false\n  Port 1\n  User nobody\n")
    rented = dataclasses.replace(server, host_config=None)
    for number in range(2):
        transport = connect(rented, known_hosts=pins, keep=keep)
        assert isinstance(_link(transport), MasterLink)
        assert transport.run(["echo", str(number)]).stdout == b"%d\n" % number
        transport.close()
    assert len(masters(keep.folder)) == 1


def test_a_socket_is_of_one_address_one_user_and_one_pin(
    server: Endpoint, pins: Path, keep: Keeping
) -> None:
    known, endpoint = KnownHosts(pins), configured(server)
    pin = known.settled(endpoint)
    assert pin
    others = [
        (endpoint, pin),
        (dataclasses.replace(endpoint, port=1), pin),
        (dataclasses.replace(endpoint, host="127.0.0.2"), pin),
        (dataclasses.replace(endpoint, user="other"), pin),
        (dataclasses.replace(endpoint, identity_file=None), pin),
        (endpoint, pin[:-1] + b"x"),
    ]
    paths = {
        master.Master(one, one.host_config, known, key, keep, KeySource(()), 5).path
        for one, key in others
        if one.host_config
    }
    assert len(paths) == len(others)


def test_a_folder_that_others_may_enter_is_not_used(tmp_path: Path) -> None:
    made = keeping(tmp_path, 300)
    assert made
    assert made.folder.stat().st_mode & 0o777 == 0o700
    made.folder.chmod(0o755)
    assert keeping(tmp_path, 300) is None
    made.folder.rmdir()
    made.folder.symlink_to(tmp_path)
    assert keeping(tmp_path, 300) is None
    assert keeping(tmp_path / "other", 0) is None
    assert not (tmp_path / "other").exists()


def test_a_folder_on_a_read_only_disk_is_not_used() -> None:
    # A longer path would have its sockets elsewhere.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        disk = Path(name, "d")
        with small_disk(disk, "size=1m,mode=700") as is_there:
            if not is_there:
                pytest.skip("needs the right to mount a small file system")
            made = keeping(disk, 300)
            assert made
            assert made.folder.parent == disk
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            assert keeping(disk, 300) is None


def test_a_state_folder_with_a_long_path_has_its_sockets_elsewhere(
    server: Endpoint, tmp_path: Path
) -> None:
    state = tmp_path / ("x" * 100)
    made = keeping(state, 60)
    assert made
    try:
        assert made.folder.parent == Path("/tmp")
        transport = by_client(server, tmp_path / "long-pins", made)
        assert transport.run(["echo", "in"]).stdout == b"in\n"
        transport.close()
    finally:
        end_masters(made)
        for path in made.folder.iterdir():
            path.unlink()
        made.folder.rmdir()


def test_nobody_uses_it_and_it_ends(server: Endpoint, pins: Path, tmp_path: Path) -> None:
    brief = keeping(tmp_path / "s", 1)
    assert brief

    def masters_in_use() -> list[int]:
        transport = connect(configured(server), known_hosts=pins, keep=brief)
        used = transport.open(["cat"])  # it stays as long, however slow this process is
        used.write(b"in use")
        assert used.read(10, HANGS_S) == b"in use"
        found = masters(brief.folder)
        transport.close()
        return found

    # One that ended before it was used has none: it has a connection of its own.
    (pid,) = wait_until(masters_in_use)
    wait_until(lambda: not sockets(brief.folder))
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize(
    "settings", ["Ciphers chacha20-poly1305@openssh.com", "MACs umac-128-etm@openssh.com"]
)
def test_a_server_with_algorithms_of_openssh_alone_is_reached(
    settings: str, home: Path, tmp_path: Path, keep: Keeping
) -> None:
    """paramiko has none of its own in common; the host key is judged as at any first contact."""
    more = f"{settings}\nCiphers aes256-ctr" if settings.startswith("MACs") else settings
    with running_openssh(tmp_path / "sshd", settings=more) as strict:
        assert strict.known_key
        unknown = configured(dataclasses.replace(strict, known_key=None, host_key=None))
        pins = tmp_path / "pins"
        with pytest.raises(HostKeyError, match="is unknown, and there is no terminal"):
            connect(unknown, known_hosts=pins, keep=keep)
        with pytest.raises(HostKeyError, match="refused by you"):
            connect(unknown, known_hosts=pins, keep=keep, ask=lambda _: False)
        other = dataclasses.replace(unknown, host_key="SHA256:" + "x" * 43)
        with pytest.raises(HostKeyError, match="SHA256:xxx"):
            connect(other, known_hosts=pins, keep=keep)
        assert KnownHosts(pins).get(unknown.name) is None
        asked: list[str] = []

        def agree(shown: str) -> bool:
            asked.append(shown)
            return True

        transport = connect(unknown, known_hosts=pins, keep=keep, ask=agree)
        key = base64.b64decode(strict.known_key.split()[1])
        assert asked == [fingerprint(key)]
        assert KnownHosts(pins).get(unknown.name) == key
        assert transport.run(["echo", "in"]).stdout == b"in\n"
        transport.close()
        with pytest.raises(UnreachableError, match=r"in common with us.*let its sshd_config allow"):
            connect(unknown, known_hosts=pins)
