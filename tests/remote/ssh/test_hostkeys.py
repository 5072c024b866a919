"""Pins: first contact, changed keys, a man in the middle, and OpenSSH's view of the same file."""

from __future__ import annotations

import base64
import dataclasses
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.errors import ConfigError, HostKeyError, LimitError
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.host_key_options import pin_options
from moola_remote.ssh.hostkeys import KnownHosts, alias, fingerprint
from tests.support.servers import running_openssh
from tests.support.small_disks import small_disk

pytestmark = pytest.mark.process

KEYS = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([number]) * 32 for number in range(9)]


def _blob(endpoint: Endpoint) -> bytes:
    assert endpoint.known_key is not None
    return base64.b64decode(endpoint.known_key.split()[1])


def _stranger(endpoint: Endpoint) -> Endpoint:
    """The same pod, of which nothing is known beforehand."""
    return dataclasses.replace(endpoint, host_key=None, known_key=None)


def _refusal(endpoint: Endpoint, path: Path, ask: object = None) -> HostKeyError:
    with pytest.raises(HostKeyError) as caught:
        connect(endpoint, known_hosts=path, ask=ask)  # type: ignore[arg-type]
    assert caught.value.exit_code == 12
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "known_hosts"


@pytest.fixture
def man_in_the_middle(endpoint: Endpoint, tmp_path: Path) -> Iterator[Endpoint]:
    """Another server under the pod's name, with another key."""
    with running_openssh(tmp_path / "other") as other:
        yield dataclasses.replace(endpoint, port=other.port, host=other.host)


def test_a_known_fingerprint_is_pinned_at_first_contact(endpoint: Endpoint, path: Path) -> None:
    only_fingerprint = dataclasses.replace(endpoint, known_key=None, host_key=_shown(endpoint))
    connect(only_fingerprint, known_hosts=path).close()
    assert KnownHosts(path).get(endpoint.name) == _blob(endpoint)
    assert path.stat().st_mode & 0o777 == 0o600


def _shown(endpoint: Endpoint) -> str:
    return fingerprint(_blob(endpoint))


def test_an_unknown_key_with_nobody_to_ask_is_refused(endpoint: Endpoint, path: Path) -> None:
    error = _refusal(_stranger(endpoint), path)
    assert f"host_key: {_shown(endpoint)}" in error.cure
    assert not path.exists()


def test_a_person_decides_about_an_unknown_key(endpoint: Endpoint, path: Path) -> None:
    asked: list[str] = []
    assert "refused by you" in str(_refusal(_stranger(endpoint), path, lambda _: False))
    assert not path.exists()

    def ask(shown: str) -> bool:
        asked.append(shown)
        return True

    connect(_stranger(endpoint), known_hosts=path, ask=ask).close()
    connect(_stranger(endpoint), known_hosts=path).close()
    assert asked == [_shown(endpoint)]


def test_a_pinned_pod_with_another_key_is_refused(
    endpoint: Endpoint, man_in_the_middle: Endpoint, path: Path
) -> None:
    connect(_stranger(endpoint), known_hosts=path, ask=lambda _: True).close()
    error = _refusal(_stranger(man_in_the_middle), path, lambda _: True)
    assert f"expected {_shown(endpoint)}, got SHA256:" in error.message
    assert f"ssh-keygen -R moola-{endpoint.name}" in error.cure
    assert KnownHosts(path).get(endpoint.name) == _blob(endpoint)


def test_the_fingerprint_of_the_file_decides(
    endpoint: Endpoint, man_in_the_middle: Endpoint, path: Path
) -> None:
    error = _refusal(man_in_the_middle, path, lambda _: True)
    assert f"expected {_shown(endpoint)}" in error.message
    assert not path.exists()


def test_a_pod_made_anew_with_a_vouched_key_takes_the_old_pins_place(
    endpoint: Endpoint, path: Path
) -> None:
    KnownHosts(path).pin(endpoint.name, KEYS[1])
    connect(endpoint, known_hosts=path).close()
    assert KnownHosts(path).get(endpoint.name) == _blob(endpoint)


def test_of_several_keys_the_pod_is_asked_for_the_pinned_one(path: Path, tmp_path: Path) -> None:
    with running_openssh(tmp_path / "sshd") as server:
        endpoint = _stranger(server)
        config = tmp_path / "sshd" / "sshd_config"
        ecdsa = tmp_path / "sshd" / "ecdsa"
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", ecdsa], check=True)
        KnownHosts(path).pin(endpoint.name, _public(ecdsa))
        types = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
        assert KnownHosts(path).known_type_first(endpoint, types)[0] == "ecdsa-sha2-nistp256"
        assert config.exists()


def _public(path: Path) -> bytes:
    return base64.b64decode(path.with_suffix(".pub").read_text().split()[1])


def test_openssh_checks_the_same_pin(openssh_server: Endpoint, path: Path, tmp_path: Path) -> None:
    command = [
        *("ssh", "-F", "/dev/null", "-i", str(openssh_server.identity_file)),
        *("-o", "BatchMode=yes", "-p", str(openssh_server.port)),
        *(*pin_options(path, openssh_server.name), openssh_server.host, "echo in"),
    ]
    connect(openssh_server, known_hosts=path).close()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "in\n", done.stderr
    KnownHosts(path).pin(openssh_server.name, KEYS[1])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_ssh_keygen_finds_and_removes_a_pin(path: Path) -> None:
    KnownHosts(path).pin("a", KEYS[1])
    KnownHosts(path).pin("b", KEYS[2])
    command = ["ssh-keygen", "-R", alias("a"), "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    assert KnownHosts(path).get("a") is None
    assert KnownHosts(path).get("b") == KEYS[2]


def test_a_pin_can_be_forgotten(path: Path) -> None:
    pins = KnownHosts(path)
    pins.pin("a", KEYS[1])
    pins.forget("a")
    pins.forget("never-there")
    assert pins.get("a") is None


def test_pins_written_at_once_are_all_there(path: Path) -> None:
    pins = KnownHosts(path)
    threads = [
        threading.Thread(target=pins.pin, args=(f"pod{number}", key))
        for number, key in enumerate(KEYS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [pins.get(f"pod{number}") for number in range(len(KEYS))] == KEYS


@pytest.mark.parametrize("line", ["moola-x ssh-ed25519", "moola-x ssh-rsa AAAA", "\x00", "ü a b c"])
def test_a_broken_line_is_named(line: str, path: Path) -> None:
    path.parent.mkdir()
    path.write_text(f"\n{line}\n")
    with pytest.raises(ConfigError, match=r"known_hosts:2: expected a name"):
        KnownHosts(path).get("x")


@pytest.mark.parametrize("name", ["a b", "a,b", "*", "!a", "", "@x", "#"])
def test_a_name_that_known_hosts_reads_otherwise_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigError, match=r": expected letters, digits, '\.', '-' and '_' in its name"
    ):
        alias(name)


def test_a_folder_that_takes_no_pin_is_named(endpoint: Endpoint, path: Path) -> None:
    """It is this machine's fault, and not the connection's."""
    with small_disk(path.parent, "size=1m,mode=700") as is_there:
        if not is_there:
            pytest.skip("needs the right to mount a small file system")
        subprocess.run(["mount", "-o", "remount,ro", str(path.parent)], check=True)
        for pins, named in ((path / "of" / "pins", path), (path, path)):
            with pytest.raises(LimitError) as caught:  # as wherever else this disk is written to
                connect(endpoint, known_hosts=pins)
            assert caught.value.message == f"{named}: can't be written, Read-only file system"
            assert caught.value.cure == f"make {named} writable for you"


@pytest.mark.parametrize("made", ["a file as its folder", "a folder as its file"])
def test_what_is_no_file_of_pins_is_named(made: str, endpoint: Endpoint, path: Path) -> None:
    if made == "a folder as its file":
        path.mkdir(parents=True)
        said = f"{path}: can't be read, Is a directory; make it a file that you may read"
    else:
        path.parent.write_text("")
        said = f"{path}: can't be read, Not a directory; make it a file that you may read"
    with pytest.raises(ConfigError) as caught:
        connect(endpoint, known_hosts=path)
    assert str(caught.value) == said
