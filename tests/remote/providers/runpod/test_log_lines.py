"""What is read in the two logs of a pod."""

from __future__ import annotations

import json

import pytest

from moola_remote.providers.runpod.log_lines import failure, host_key, progress
from tests.support.runpod_double import DOCUMENTS

needs_documents = pytest.mark.skipif(
    not DOCUMENTS.is_dir(), reason="RunPod's documents do not lie beside this clone"
)
KEY = "SHA256:7BQg4+yeG9emhfd14rdZGXjUo26BPo12VtRL9yxe+Ac"
OTHER = f"SHA256:{'X' * 43}"


def recorded(name: str) -> list[str]:
    lines = (DOCUMENTS / "examples" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line[5:])["line"] for line in lines if line.startswith("data:")]


@needs_documents
def test_the_recorded_logs_are_understood() -> None:
    assert host_key(recorded("logs-container-host-keys.sse")) == KEY
    system = recorded("logs-system.sse")
    steps = [progress(system[: count + 1]) for count in range(len(system))]
    assert steps == [
        "creating the container",
        "pulling the image",
        "pulling fs layer",
        "extracting",
        "pull complete, 1 layers done",
        "image is there",
        "image is there",
        "container started, no SSH address yet",
    ]
    assert failure(system) is None
    why = failure(recorded("logs-system-driver-too-old.sse"))
    assert why is not None
    assert why.startswith("its host's driver is older than the image's CUDA (")


def test_a_key_that_a_job_prints_is_no_host_key() -> None:
    mark, line = "ED25519 key fingerprint:", f"256 {KEY} root@x (ED25519)"
    assert host_key([mark, line]) == KEY
    assert host_key([mark, line, "epoch 1", f"256 {OTHER} root@x (ED25519)"]) == KEY
    assert host_key([mark, f"3072 {OTHER} root@x (RSA)"]) is None
    assert host_key([line]) is None
    assert host_key([]) is None


def test_of_several_starts_the_last_counts() -> None:
    block = ["SSH host keys:", "Key: /etc/ssh/ssh_host_ed25519_key.pub"]
    first, second = (f"256 {key} root@x (ED25519)" for key in (OTHER, KEY))
    assert host_key([*block, first, *block, second]) == KEY


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("toomanyrequests: You have reached your pull rate limit", "Docker Hub refuses the image"),
        ("Error: manifest unknown", "there is no such image"),
        ("Container ID 296608 cannot be mapped to a host ID", "its host can't unpack the image"),
        ("write /var/x: no space left on device", "its host's disk is too small"),
    ],
)
def test_what_can_not_succeed_is_named(line: str, meaning: str) -> None:
    assert str(failure(["pulling", line])).startswith(meaning)


def test_before_any_line_a_machine_is_waited_for() -> None:
    assert progress([]) == "waiting for a machine"
