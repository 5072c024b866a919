"""What the user's known_hosts vouch for: read as OpenSSH reads them, used at first contact."""

from __future__ import annotations

import base64
import dataclasses
import subprocess
from pathlib import Path

import pytest

from moola_remote.errors import HostKeyError
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import KnownHosts, fingerprint
from moola_remote.ssh.user_known_hosts import matches
from tests.remote.ssh.conftest import Through, keygen, vouch
from tests.support.servers import running_openssh

pytestmark = pytest.mark.process


@pytest.fixture
def stranger(through: Through) -> Endpoint:
    """The server as a pod of which nothing is known beforehand."""
    return dataclasses.replace(through("Host box\n  {pod}"), known_key=None)


def _connects(endpoint: Endpoint, folder: Path) -> None:
    connect(endpoint, known_hosts=folder / "pins").close()


def _refusal(endpoint: Endpoint, folder: Path) -> HostKeyError:
    with pytest.raises(HostKeyError) as caught:
        _connects(endpoint, folder)
    return caught.value


def test_a_key_that_the_user_knows_is_pinned_without_a_question(
    stranger: Endpoint, openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    assert "is unknown" in str(_refusal(stranger, tmp_path))
    (dot_ssh / "known_hosts").write_text("@cert-authority *.example.org ssh-ed25519 AAAA\n# x\n")
    vouch(dot_ssh, openssh_server)
    _connects(stranger, tmp_path)
    assert KnownHosts(tmp_path / "pins").get("box")


def test_a_hashed_name_is_found(
    stranger: Endpoint, openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    vouch(dot_ssh, openssh_server)
    command = ["ssh-keygen", "-H", "-f", str(dot_ssh / "known_hosts")]
    subprocess.run(command, check=True, capture_output=True)
    assert "127.0.0.1" not in (dot_ssh / "known_hosts").read_text()
    _connects(stranger, tmp_path)


def test_an_alias_for_the_host_key_is_looked_up(
    through: Through, openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    endpoint = dataclasses.replace(
        through("Host box\n  {pod}  HostKeyAlias the-box\n"), known_key=None
    )
    vouch(dot_ssh, openssh_server)
    _refusal(endpoint, tmp_path)
    (dot_ssh / "known_hosts").write_text(f"the-box {openssh_server.known_key}\n")
    _connects(endpoint, tmp_path)


@pytest.mark.parametrize("is_hashed", [False, True])
def test_a_host_that_the_user_knows_by_another_key_is_refused_unasked(
    is_hashed: bool, stranger: Endpoint, openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    """As ssh does, whatever anybody would answer; the cure forgets the line."""
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text()
    name = f"[127.0.0.1]:{openssh_server.port}"
    (dot_ssh / "known_hosts").write_text(f"{name} {' '.join(other.split()[:2])}\n")
    if is_hashed:
        subprocess.run(
            ["ssh-keygen", "-H", "-f", str(dot_ssh / "known_hosts")],
            check=True, capture_output=True,
        )  # fmt: skip
    asked: list[str] = []

    def ask(shown: str) -> bool:
        asked.append(shown)
        return True

    with pytest.raises(HostKeyError, match="not the one that your known_hosts has") as caught:
        connect(stranger, known_hosts=tmp_path / "pins", ask=ask).close()
    assert asked == []
    assert f"ssh-keygen -R '{name}'" in caught.value.cure
    subprocess.run(
        ["ssh-keygen", "-R", name, "-f", str(dot_ssh / "known_hosts")],
        check=True, capture_output=True,
    )  # fmt: skip
    assert "is unknown" in str(_refusal(stranger, tmp_path))


def test_a_key_of_another_type_is_asked_about(
    stranger: Endpoint, openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    blob = base64.b64encode(b"\0\0\0\x07ssh-rsa" + bytes(40)).decode()
    (dot_ssh / "known_hosts").write_text(f"[127.0.0.1]:{openssh_server.port} ssh-rsa {blob}\n")
    assert "is unknown" in str(_refusal(stranger, tmp_path))


def test_a_file_with_a_blank_in_its_name_is_read(
    through: Through, openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    vouch(dot_ssh, openssh_server)
    (dot_ssh / "known_hosts").rename(dot_ssh / "a file")
    text = f'Host box\n  {{pod}}  UserKnownHostsFile "{dot_ssh}/a file"\n'
    _connects(dataclasses.replace(through(text), known_key=None), tmp_path)


def _with(through: Through, line: str) -> Endpoint:
    return dataclasses.replace(through(f"Host box\n  {{pod}}  {line}\n"), known_key=None)


def test_the_users_command_for_known_hosts_vouches(
    through: Through, openssh_server: Endpoint, tmp_path: Path
) -> None:
    """Asked before the host has shown a key, and with the key that it shows, as by ssh."""
    program, asked = tmp_path / "known", tmp_path / "asked"
    assert openssh_server.known_key
    kind, key = openssh_server.known_key.split()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\n[ "$1" = ORDER ] || echo "$2 {kind} {key}"\n'
    )
    program.chmod(0o755)
    endpoint = _with(through, f'KnownHostsCommand {program} %I %H %t %K %f "%n %%"')
    _connects(endpoint, tmp_path)
    name = f"[127.0.0.1]:{openssh_server.port}"
    shown = fingerprint(base64.b64decode(key))
    assert asked.read_text().splitlines() == [
        f"ORDER {name} NONE NONE NONE box %",
        f"HOSTNAME {name} {kind} {key} {shown} box %",
    ]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("/bin/sh -c 'echo no database >&2; exit 3'", "ended with 3, no database"),
        ("/no/such/program", "can't be run"),
    ],
)
def test_a_command_for_known_hosts_that_fails_ends_the_connection(
    command: str,
    why: str,
    through: Through,
    openssh_server: Endpoint,
    dot_ssh: Path,
    tmp_path: Path,
) -> None:
    vouch(dot_ssh, openssh_server)
    refusal = _refusal(_with(through, f"KnownHostsCommand {command}"), tmp_path)
    assert why in str(refusal)
    assert "run it by hand" in refusal.cure


@pytest.mark.parametrize("value", ["accept-new", "no", "off"])
def test_an_unknown_key_is_taken_where_the_users_ssh_takes_it_and_pinned(
    value: str,
    through: Through,
    openssh_server: Endpoint,
    dot_ssh: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoint = _with(through, f"StrictHostKeyChecking {value}")
    _connects(endpoint, tmp_path)
    assert "taken unseen" in caplog.text
    other = base64.b64decode(keygen(tmp_path / "other").with_suffix(".pub").read_text().split()[1])
    pins = KnownHosts(tmp_path / "pins")
    assert pins.get("box") not in (None, other)
    pins.pin("box", other)
    assert "has changed" in str(_refusal(endpoint, tmp_path))


def test_strict_checking_asks_nobody(through: Through, tmp_path: Path) -> None:
    endpoint = _with(through, "StrictHostKeyChecking yes")
    with pytest.raises(HostKeyError, match="StrictHostKeyChecking yes"):
        connect(endpoint, known_hosts=tmp_path / "pins", ask=lambda _shown: True).close()


def test_our_pin_stays_the_judge(
    stranger: Endpoint, openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text().split()[1]
    KnownHosts(tmp_path / "pins").pin("box", base64.b64decode(other))
    vouch(dot_ssh, openssh_server)
    assert "has changed" in str(_refusal(stranger, tmp_path))


def test_a_revoked_key_is_refused_whoever_vouches_for_it(
    stranger: Endpoint, openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    vouch(dot_ssh, openssh_server)
    with (dot_ssh / "known_hosts").open("a") as file:
        file.write(f"@revoked * {openssh_server.known_key}\n")
    assert "is revoked" in str(_refusal(stranger, tmp_path))


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return keygen(tmp_path / "authority")


def _trust(authority: Path, dot_ssh: Path, names: str = "[127.0.0.1]:*") -> None:
    public = authority.with_suffix(".pub").read_text()
    (dot_ssh / "known_hosts").write_text(f"@cert-authority {names} {public}")


def _as_box(server: Endpoint, through: Through) -> Endpoint:
    lines = f"Host box\n  HostName 127.0.0.1\n  Port {server.port}\n"
    endpoint = through(f"{lines}  IdentityFile {server.identity_file}\n")
    return dataclasses.replace(endpoint, known_key=None)


@pytest.mark.parametrize(
    ("words", "names", "is_good"),
    [
        ("-n 127.0.0.1 -V -1h:+1h", "[127.0.0.1]:*", True),
        ("-n 127.0.0.1 -V -1h:+1h", "other.example.org", False),
        ("-n 192.0.2.1 -V -1h:+1h", "[127.0.0.1]:*", False),
        ("-n 127.0.0.1 -V -2h:-1h", "[127.0.0.1]:*", False),
    ],
)
def test_a_certificate_counts_for_its_names_and_its_time(
    words: str, names: str, is_good: bool, authority: Path, through: Through, tmp_path: Path
) -> None:
    folder = tmp_path / "certified"
    settings = f"HostCertificate {folder}/host_key-cert.pub"
    certify = (str(authority), *words.split())
    with running_openssh(folder, settings=settings, certify=certify) as server:
        _trust(authority, Path.home() / ".ssh", names)
        endpoint = _as_box(server, through)
        if not is_good:
            _refusal(endpoint, tmp_path)
            return
        _connects(endpoint, tmp_path)
        # The plain key is pinned: it is what OpenSSH's client is asked to check, too.
        plain = base64.b64decode(str(server.known_key).split()[1])
        assert KnownHosts(tmp_path / "pins").get("box") == plain
        _connects(endpoint, tmp_path)


def test_a_certificate_of_another_authority_is_nothing(
    authority: Path, through: Through, dot_ssh: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "certified"
    settings = f"HostCertificate {folder}/host_key-cert.pub"
    certify = (str(keygen(tmp_path / "other")), "-n", "127.0.0.1")
    with running_openssh(folder, settings=settings, certify=certify) as server:
        _trust(authority, dot_ssh)
        _refusal(_as_box(server, through), tmp_path)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("box", "box", True),
        ("a,box", "box", True),
        ("*.org,!bad.org", "good.org", True),
        ("*.org,!bad.org", "bad.org", False),
        ("[127.0.0.1]:2222", "[127.0.0.1]:2222", True),
        ("[127.0.0.1]:22?2", "[127.0.0.1]:2222", True),
        ("[1]", "1", False),
        ("BOX", "box", True),
        ("|1|broken", "box", False),
        ("|1|AAAA|BBBB", "box", False),
        ("", "box", False),
    ],
)
def test_names_and_patterns(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) == fits
