"""A shell and the block of `ssh-config`: the pin judges, whatever the user's configuration says."""

from __future__ import annotations

import base64
import dataclasses
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from moola_remote.ssh.command_line import ssh_argv
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.host_block import host_block
from moola_remote.ssh.hostkeys import KnownHosts
from tests.remote.conftest import configured
from tests.remote.ssh.conftest import keygen

pytestmark = pytest.mark.process

QUIET = ["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
Reach = Callable[[Endpoint, Path, Path], Sequence[str]]


def by_shell(endpoint: Endpoint, pins: Path, _config: Path) -> list[str]:
    return ssh_argv(endpoint, pins)


def by_block(endpoint: Endpoint, pins: Path, config: Path) -> list[str]:
    config.write_text(host_block(endpoint, pins) + config.read_text())
    return ["ssh", "-F", str(config), endpoint.name]


def _echo(argv: Sequence[str], key: Path | None) -> subprocess.CompletedProcess[str]:
    # `ssh` ends its options at the host, whose name is the last word.
    words = [argv[0], *QUIET, "-i", str(key), *argv[1:], "echo in"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("reach", [by_shell, by_block])
@pytest.mark.parametrize("lax", ["NoHostAuthenticationForLocalhost yes", "KnownHostsCommand"])
def test_the_pin_judges_whatever_the_configuration_says(
    openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path, reach: Reach, lax: str
) -> None:
    pins, config = tmp_path / "pins", dot_ssh / "config"
    if lax == "KnownHostsCommand":
        program = tmp_path / "keys"
        program.write_text(f'#!/bin/sh\necho "$1 {openssh_server.known_key}"\n')
        program.chmod(0o755)
        lax = f"KnownHostsCommand {program} %H"
    config.write_text(f"Host *\n  {lax}\n  StrictHostKeyChecking yes\n")
    endpoint = dataclasses.replace(configured(openssh_server), identity_file=None)
    key = openssh_server.identity_file
    assert endpoint.host_config
    plain = ["ssh", *endpoint.host_config.arguments, "--", endpoint.host]
    assert _echo(plain, key).stdout == "in\n", "the configuration alone accepts any key"

    assert openssh_server.known_key
    KnownHosts(pins).pin(endpoint.name, base64.b64decode(openssh_server.known_key.split()[1]))
    argv = reach(endpoint, pins, config)
    assert _echo(argv, key).stdout == "in\n"
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text().split()[1]
    KnownHosts(pins).pin(endpoint.name, base64.b64decode(other))
    refused = _echo(argv, key)
    assert (refused.returncode, refused.stdout) == (255, "")
    assert "Host key verification failed" in refused.stderr


def test_options_of_the_pods_file_do_not_replace_the_pin(
    openssh_server: Endpoint, dot_ssh: Path, tmp_path: Path
) -> None:
    config = configured(openssh_server).host_config
    assert config
    options = ("-o", "StrictHostKeyChecking=no", "-o", "NoHostAuthenticationForLocalhost=yes")
    config = dataclasses.replace(config, arguments=(*options, *config.arguments))
    argv = ssh_argv(dataclasses.replace(openssh_server, host_config=config), tmp_path / "pins")
    asked = subprocess.run([argv[0], "-G", *argv[1:]], capture_output=True, text=True, check=True)
    read = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
    assert read["stricthostkeychecking"] in ("true", "yes")
    assert read["nohostauthenticationforlocalhost"] == "no"


def test_an_openssh_that_has_no_known_hosts_command_is_not_asked_for_one(
    openssh_server: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moola_remote.ssh import host_key_options

    old = tmp_path / "bin" / "ssh"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\ncase "$*" in *KnownHostsCommand*) exit 255;; esac\nexit 0\n')
    old.chmod(0o755)
    ask = host_key_options._openssh_knows
    ask.cache_clear()
    assert "KnownHostsCommand=none" in ssh_argv(openssh_server, tmp_path / "pins")
    ask.cache_clear()
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}{os.environ['PATH']}")
    assert "KnownHostsCommand=none" not in ssh_argv(openssh_server, tmp_path / "pins")
    ask.cache_clear()
