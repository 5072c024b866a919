"""Pasted ssh commands, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.config.settings import Project, load_pod
from moola_remote.errors import ConfigError
from moola_remote.ssh.command_line import SshTarget, parse_ssh, pod_text, write_pod


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (
            "ssh root@1.2.3.4 -p 36470 -i ~/.ssh/id_ed25519",
            SshTarget("1.2.3.4", "root", 36470, "~/.ssh/id_ed25519"),
        ),
        (
            "  ssh -i '/a b/key' -p36470 -l root 1.2.3.4 ",
            SshTarget("1.2.3.4", "root", 36470, "/a b/key"),
        ),
        ("root@1.2.3.4:36470", SshTarget("1.2.3.4", "root", 36470)),
        ("gpu.example.org", SshTarget("gpu.example.org", None)),
    ],
)
def test_what_a_console_shows_is_understood(words: str, place: SshTarget, tmp_path: Path) -> None:
    assert parse_ssh(words) == place
    project = Project(folder=tmp_path)
    write_pod(project, "new", pod_text(place))
    pod = load_pod(project, "new")
    assert (pod.provider, pod.host, pod.port, pod.user) == (
        "ssh",
        place.host,
        place.port,
        place.user,
    )


def test_the_proxy_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"a terminal alone, no commands, no rsync.*expose TCP"):
        parse_ssh("ssh k3x9m2pq7rt1za-64411eb2@ssh.runpod.io -i ~/.ssh/id_ed25519")


@pytest.mark.parametrize(
    "words",
    ["", "ssh", "ssh a b", "ssh -p 0 h", "ssh -p x h", "ssh 'h", "ssh -oProxyCommand=x", "a@$(x)"],
)
def test_anything_else_is_one_line_with_an_example(words: str) -> None:
    with pytest.raises(ConfigError, match=r"not understood, expected for example 'ssh root@203"):
        parse_ssh(words)


def test_a_pod_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    project = Project(folder=tmp_path)
    write_pod(project, "new", "provider: local\n")
    with pytest.raises(ConfigError, match="is there already; choose another with --name"):
        write_pod(project, "new", "")
    with pytest.raises(ConfigError, match="expected letters, digits"):
        write_pod(project, "../new", "")
