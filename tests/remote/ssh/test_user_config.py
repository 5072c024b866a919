"""The user's SSH configuration: OpenSSH's answer, and paramiko's where there is no OpenSSH."""

from __future__ import annotations

import getpass
import hashlib
import logging
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.errors import ConfigError
from moola_remote.ssh import user_config
from moola_remote.ssh.user_config import resolve

pytestmark = pytest.mark.process

CONFIG = """\
Include extra/*.conf
Host box
    HostName 203.0.113.7
    Port 2200
    User trainer
    IdentityFile ~/.ssh/box_%r
    IdentityFile "~/.ssh/with space"
    CertificateFile ~/.ssh/box-cert.pub
    IdentitiesOnly yes
    IdentityAgent /run/agent.sock
    HostKeyAlias the-box
    ServerAliveInterval 7
    ServerAliveCountMax 4
    ProxyJump a,carol@b:2022
Host six
    HostName 2001:db8::7
    ProxyCommand nc -x proxy:1080 %h %p 2>/dev/null
Host direct.box
    ProxyJump none
Match host matched
    User by-match
Host *.box
    ProxyJump bastion
"""


@pytest.fixture
def config(home: Path) -> Iterator[Path]:
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "config"
    path.write_text(CONFIG)
    path.chmod(0o600)
    yield path
    path.unlink()


@pytest.fixture(params=["openssh", "paramiko"])
def either(request: pytest.FixtureRequest, config: Path, tmp_path: Path) -> Iterator[Path]:
    """The same file read by each; without ssh on the PATH it is paramiko."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "paramiko":
            patch.setenv("PATH", str(tmp_path))
        yield config


def test_each_keyword_is_honoured(either: Path, home: Path) -> None:
    found = resolve("box")
    assert (found.hostname, found.port, found.user) == ("203.0.113.7", 2200, "trainer")
    folder = home / ".ssh"
    assert found.identity_files[:2] == (folder / "box_trainer", folder / "with space")
    assert found.certificate_files == (folder / "box-cert.pub",)
    assert found.identities_only
    assert found.identity_agent == "/run/agent.sock"
    assert found.host_key_alias == "the-box"
    assert found.alive == (7.0, 4)
    assert found.jumps == ("a", "carol@b:2022")
    assert found.known_hosts[0] == folder / "known_hosts"


def test_a_host_without_settings_is_as_plain_ssh_has_it(either: Path, home: Path) -> None:
    found = resolve("plain.example.org")
    assert (found.hostname, found.port, found.user) == ("plain.example.org", 22, getpass.getuser())
    assert (found.jumps, found.proxy_command, found.alive) == ((), None, None)
    assert home / ".ssh" / "id_ed25519" in found.identity_files


def test_what_the_caller_says_overrides_the_file(either: Path) -> None:
    found = resolve("box", user="root", port=22, options=["ProxyJump=none", "HostName=h"])
    assert (found.hostname, found.port, found.user, found.jumps) == ("h", 22, "root", ())


def test_tokens_of_a_proxy_command_are_expanded(either: Path) -> None:
    found = resolve("six")
    assert found.proxy_command == "nc -x proxy:1080 2001:db8::7 22 2>/dev/null"


def test_each_token_is_what_ssh_makes_of_it(either: Path, home: Path) -> None:
    either.write_text(
        "Host box\n    HostName h.example.org\n    Port 2200\n    User trainer\n"
        "    HostKeyAlias the-box\n    ProxyJump %r@hop-%p,%n.%h:2022\n"
        "    IdentityFile ~/.ssh/%k-%j\n    CertificateFile ~/.ssh/%C\n"
    )
    found = resolve("box")
    assert found.jumps == ("trainer@hop-2200", "box.h.example.org:2022")
    assert found.identity_files == (home / ".ssh" / "the-box-box.h.example.org",)
    name = f"{socket.gethostname()}h.example.org2200trainer"
    newer = f"{name}box.h.example.org"  # since OpenSSH 9.6 with the jump
    digests = [hashlib.sha1(text.encode()).hexdigest() for text in (name, newer)]
    assert found.certificate_files[0].name in digests


def test_proxyjump_none_is_no_jump(either: Path) -> None:
    assert resolve("direct.box").jumps == ()
    assert resolve("other.box").jumps == ("bastion",)


def test_a_match_by_host_is_for_that_host(either: Path) -> None:
    assert resolve("matched").user == "by-match"
    assert resolve("unmatched").user == getpass.getuser()


@pytest.mark.parametrize("setting", ["ForkAfterAuthentication yes", "SessionType none"])
def test_a_host_of_a_tunnel_is_read(config: Path, setting: str) -> None:
    known = subprocess.run(
        ["ssh", "-G", "-N", "-o", setting.replace(" ", "="), "h"], capture_output=True, check=False
    )
    if known.returncode != 0:
        pytest.skip("an OpenSSH before 8.7")
    config.write_text(f"Host box\n  {setting}\n  User trainer\n")
    assert resolve("box").user == "trainer"


def test_another_file_may_be_named(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("Host box\n  HostName 192.0.2.1\n")
    assert resolve("box", file=("-F", str(other))).hostname == "192.0.2.1"


def test_a_file_that_openssh_refuses_is_named_with_its_line(config: Path) -> None:
    config.write_text("Host box\n  HostNam h\n")
    with pytest.raises(ConfigError, match=r"line 2: Bad configuration option: hostnam"):
        resolve("box")


def test_a_match_with_an_unknown_criterion_is_for_no_host_or_is_warned_of(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    user_config._warn_of_paramiko.cache_clear()
    config.write_text("Match localnetwork 192.0.2.0/24\n  User by-network\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        resolve("box")
        resolve("box")
    (record,) = caplog.records
    assert "paramiko reads it" in record.getMessage()
    assert "(here: localnetwork)" in record.getMessage()


def test_an_agent_may_be_named_by_a_variable_or_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_AGENT", "/run/mine")
    config.write_text("Host a\n  IdentityAgent $MY_AGENT\nHost b\n  IdentityAgent none\n")
    assert resolve("a").identity_agent == "/run/mine"
    assert resolve("b").identity_agent is None
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/default")
    assert resolve("c").identity_agent == os.environ["SSH_AUTH_SOCK"]


def test_a_token_that_is_not_known_is_named(config: Path) -> None:
    config.write_text("Host a\n  ProxyCommand nc ${NO_SUCH_VARIABLE} %h\n")
    with pytest.raises(ConfigError, match=r"NO_SUCH_VARIABLE.*write the value itself"):
        resolve("a")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ('~/.ssh/one "~/.ssh/a file"', ["one", "a file"]),
        ('"~/.ssh/a file" ~/.ssh/one', ["a file", "one"]),
        ('~/.ssh/one "~/.ssh/a file" "~/.ssh/a file of two"', ["one", "a file", "a file of two"]),
        ('"~/.ssh/a file" ~/.ssh/missing', ["a file", "missing"]),
        ("~/.ssh/one ~/.ssh/%h", ["one", "203.0.113.7"]),
        ('"~/.ssh/a  file"', ["a  file"]),
    ],
)
def test_lists_of_known_hosts_have_names_with_blanks(
    either: Path, home: Path, value: str, names: list[str]
) -> None:
    folder = home / ".ssh"
    for name in ("one", "a file", "a file of two", "a  file"):
        (folder / name).touch()
    either.write_text(f"Host box\n    HostName 203.0.113.7\n    UserKnownHostsFile {value}\n")
    found = resolve("box").known_hosts
    assert found[: len(names)] == tuple(folder / name for name in names)
