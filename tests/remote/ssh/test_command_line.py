"""Pasted ssh commands, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.cli.error_handler import run
from moola_remote.config.settings import Project, load_pod
from moola_remote.errors import ConfigError
from moola_remote.ssh.command_line import SshTarget, parse_ssh, pod_name, pod_text, write_pod


@pytest.mark.parametrize(
    ("words", "target"),
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
        ("gpu.example.org", SshTarget("gpu.example.org")),
        ("box", SshTarget("box")),
        ("my_box", SshTarget("my_box")),
        # vast.ai, Lambda and RunPod, as their consoles print it
        (
            "ssh -p 20544 root@203.0.113.7 -L 8080:localhost:8080",
            SshTarget("203.0.113.7", "root", 20544),
        ),
        (
            "ssh -i ~/.ssh/id_ed25519 ubuntu@203.0.113.7",
            SshTarget("203.0.113.7", "ubuntu", None, "~/.ssh/id_ed25519"),
        ),
        (
            "ssh -i ~/.ssh/key -oIdentitiesOnly=yes -o 'ServerAliveInterval 30' root@h",
            SshTarget(
                "h",
                "root",
                None,
                "~/.ssh/key",
                options=("IdentitiesOnly=yes", "ServerAliveInterval=30"),
            ),
        ),
        (
            "ssh -J jump@203.0.113.9:2200,b root@203.0.113.7",
            SshTarget("203.0.113.7", "root", options=("ProxyJump=jump@203.0.113.9:2200,b",)),
        ),
        ("ssh -F conf/ssh box", SshTarget("box", ssh_config="conf/ssh")),
        ("ssh -4 -t h", SshTarget("h", options=("AddressFamily=inet",))),
        ("ssh -b 192.0.2.7 h", SshTarget("h", options=("BindAddress=192.0.2.7",))),
        ("ssh -B tun0 -6 h", SshTarget("h", options=("BindInterface=tun0", "AddressFamily=inet6"))),
        ("ssh -o BindAddress=::1 h", SshTarget("h", options=("BindAddress=::1",))),
        ("ssh -NL 8080:localhost:8080 root@h", SshTarget("h", "root")),
        ("ssh ssh://root@203.0.113.7:2222", SshTarget("203.0.113.7", "root", 2222)),
        ("ssh://root@[2001:db8::7]:2222/", SshTarget("2001:db8::7", "root", 2222)),
        ("ssh root@2001:db8::7 -p 22", SshTarget("2001:db8::7", "root", 22)),
        ("root@[2001:db8::7]:2222", SshTarget("2001:db8::7", "root", 2222)),
        ("[2001:db8::7]", SshTarget("2001:db8::7")),
        (
            r'ssh root@h -p 22 -i "C:\Users\x\.ssh\id_ed25519"',
            SshTarget("h", "root", 22, r"C:\Users\x\.ssh\id_ed25519"),
        ),
    ],
)
def test_what_a_console_shows_is_understood(words: str, target: SshTarget, tmp_path: Path) -> None:
    assert parse_ssh(words) == target
    project = Project(folder=tmp_path)
    write_pod(project, "new", pod_text(target))
    pod = load_pod(project, "new")
    assert (pod.provider, pod.host, pod.port, pod.user) == (
        "ssh",
        target.host,
        target.port,
        target.user,
    )


@pytest.mark.parametrize(
    "words",
    [
        "ssh root@h -p 22 -i /k/id",
        "ssh root@h \\\n    -p 22 \\\n    -i /k/id",
        "ssh root@h \\\r\n  -p 22 \\ \n  -i /k/id\n",
        "ssh root@h\n-p 22 -i /k/id",
        "ssh root@h \u2013p 22 \u2014i \u201c/k/id\u201d",
        "ssh\xa0root@h\xa0-p\xa022 -i \u2018/k/id\u2019",
        "$ ssh root@h -p 22 -i /k/id",
        "ann@laptop:~$ ssh root@h -p 22 -i /k/id",
        "TERM=xterm-256color LANG= ssh root@h -p 22 -i /k/id",
        "/usr/bin/ssh root@h -p 22 -i /k/id",
        "ssh.exe root@h -p 22 -i /k/id",
        "ssh root@h -p 22 -i $KEYS/id",
        "ssh root@h -p 22 -i ${KEYS}/id  # pod 3",
    ],
)
def test_what_came_along_when_it_was_copied_changes_nothing(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYS", "/k")
    target = parse_ssh(words)
    assert target == SshTarget("h", "root", 22, "/k/id")
    assert target.left_out == ()


def test_each_of_several_keys_is_kept() -> None:
    target = parse_ssh("ssh -i a root@h -i b")
    assert (target.identity_file, target.options) == (None, ("IdentityFile=a", "IdentityFile=b"))


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ("Host box\n  HostName 203.0.113.7\n", r"~/.ssh/config.*pods add box"),
        ("sshpass -p x ssh root@h", "expected a key.*ssh-copy-id"),
    ],
)
def test_what_is_no_command_of_a_key_has_its_cure(words: str, cure: str) -> None:
    with pytest.raises(ConfigError, match=cure):
        parse_ssh(words)


@pytest.mark.parametrize(
    "words",
    [
        ["ssh root@h -p 22 -i key"],
        ["ssh", "root@h", "-p", "22", "-i", "key"],
        ["ssh", "-p22", "-ikey", "--name", "h", "root@h"],
        ["--name=h", "ssh", "root@h", "-i", "key", "-p", "22"],
    ],
)
def test_the_quotes_may_be_left_out(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moola-remote.toml").touch()
    assert run(["pods", "add", *words]) == 0
    pod = load_pod(Project(folder=tmp_path), "h")
    assert (pod.host, pod.user, pod.port, str(pod.identity_file)) == ("h", "root", 22, "key")


def test_a_pod_to_rent_is_added_in_any_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moola-remote.toml").touch()
    assert run(["pods", "add", "--runpod"]) == 0
    written = tmp_path / "configs" / "pods" / "runpod-4090.yaml"
    ours = Path(__file__).parents[3] / "configs" / "pods" / "runpod-4090.yaml"
    assert written.read_bytes() == ours.read_bytes()
    pod = load_pod(Project(folder=tmp_path), "runpod-4090")
    assert pod.provider == "runpod"
    assert run(["pods", "add", "--runpod"]) == 10
    assert "already exists" in capsys.readouterr().err
    assert run(["pods", "add", "--runpod", "--name", "other"]) == 0
    assert run(["pods", "add", "--runpod", "ssh", "h"]) == run(["pods", "add"]) == 2


@pytest.mark.parametrize(
    ("words", "left_out"),
    [
        ("ssh h -L 8080:localhost:8080", "-L 8080:localhost:8080: port forwarding"),
        ("ssh -A h", "-A: agent forwarding (the pod gets no key of yours)"),
        (
            "ssh -o StrictHostKeyChecking=no h",
            "-o StrictHostKeyChecking (host keys are checked against our pins)",
        ),
        ("ssh -o PKCS11Provider=x h", "-o PKCS11Provider (not honoured here)"),
        ("ssh h -t tmux attach -t 0", "tmux attach -t 0: a command; moola-remote starts its own"),
        ("ssh -p 22 h -- 'ls -l'", "'ls -l': a command; moola-remote starts its own"),
    ],
)
def test_what_has_no_place_in_the_file_is_named(words: str, left_out: str) -> None:
    assert parse_ssh(words).left_out == (left_out,)


@pytest.mark.parametrize("words", ["ssh -W a:1 h", "ssh -I lib.so h"])
def test_an_option_that_cannot_be_honoured_is_named(words: str) -> None:
    with pytest.raises(ConfigError, match=r"ssh option -[WI] \S+: can't be honoured"):
        parse_ssh(words)


def test_a_pod_without_a_name_is_named_after_its_host() -> None:
    names = [pod_name(host) for host in ("203.0.113.7", "my_box", "2001:db8::7", "::")]
    assert names == ["203-0-113-7", "my_box", "2001-db8-7", "pod"]


def test_the_proxy_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"only a terminal: no commands, no rsync.*expose TCP"):
        parse_ssh("ssh k3x9m2pq7rt1za-64411eb2@ssh.runpod.io -i ~/.ssh/id_ed25519")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "ssh",
        "scp a b",
        "a b",
        "ssh -p 0 h",
        "ssh -p x h",
        "ssh -p \u0662\u0662 h",
        "ssh 'h",
        "ssh -oProxyCommand=x",
        "a@$(x)",
    ],
)
def test_anything_else_is_one_line_with_an_example(words: str) -> None:
    with pytest.raises(ConfigError, match=r"not understood, expected for example 'ssh root@203"):
        parse_ssh(words)


def test_a_folder_of_pods_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "configs").write_text("x")
    with pytest.raises(ConfigError, match="can't be written"):
        write_pod(Project(folder=tmp_path), "new", "provider: local\n")


def test_a_pod_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    project = Project(folder=tmp_path)
    write_pod(project, "new", "provider: local\n")
    with pytest.raises(ConfigError, match="already exists; choose another with --name"):
        write_pod(project, "new", "")
    with pytest.raises(ConfigError, match="expected letters, digits"):
        write_pod(project, "../new", "")
