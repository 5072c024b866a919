"""What a pod may lack, reported before anything is sent or trained."""

from __future__ import annotations

import re
from typing import Any

import pytest

from moola_remote.errors import ConfigError, LimitError, MoolaError, UnreachableError
from moola_remote.pods.preflight import check_gpu, check_pod
from moola_remote.protocol.answers import PodGpu, PodInfo, Torch
from tests.support.pods import AgentPod

GOOD: dict[str, Any] = {"python": "3.12.3", "rsync": "3.2.7", "disk_free": 50 * 10**9}


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"rsync": None}, UnreachableError, "no rsync on the pod; there: apt-get install rsync"),
        ({"has_venv": False}, ConfigError, "no module venv; there: apt-get install python3-venv"),
        ({"write_error": "Disk quota exceeded"}, LimitError, "16 MB .*, Disk quota exceeded; rem"),
        ({"write_error": "Read-only file system"}, ConfigError, "root, Read-only .*; make its"),
        ({"disk_free": 10**9}, LimitError, r"1.0 GB free, expected 2.5 GB"),
    ],
)
def test_what_is_missing_is_one_line_with_its_cure(
    change: dict[str, Any], kind: type[MoolaError], said: str
) -> None:
    check_pod("x", PodInfo(**GOOD), 2 * 10**9)
    with pytest.raises(kind, match=said):
        check_pod("x", PodInfo(**{**GOOD, **change}), 2 * 10**9)


def test_a_full_disk_matters_only_where_something_is_sent() -> None:
    check_pod("x", PodInfo(**{**GOOD, "disk_free": 0}))


@pytest.mark.parametrize(
    ("torch", "said"),
    [
        (Torch(version="2.9.1", cuda="12.8", device="cpu"), "is for CUDA 12.8, .* knows 12.4"),
        (Torch(version="2.9.1+cpu", device="cpu"), "was built without CUDA"),
    ],
)
def test_a_gpu_that_torch_can_not_use_is_reported_before_training(torch: Torch, said: str) -> None:
    facts = PodInfo(**GOOD, gpus=[PodGpu(name="RTX 4090", memory_total=24)], cuda_driver="12.4")
    with pytest.raises(ConfigError, match=f"torch {re.escape(torch.version)} can't use .*{said}"):
        check_gpu("x", facts, torch)
    check_gpu("x", PodInfo(**GOOD), torch)  # a pod without a GPU trains on its CPU
    check_gpu("x", facts, Torch(version="2.9.1", cuda="12.8", device="RTX 4090"))


@pytest.mark.process
def test_the_agent_reports_the_driver_and_that_nothing_can_be_written(
    pod: AgentPod, tmp_path: Any
) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    head = "| NVIDIA-SMI 550.54   Driver Version: 550.54   CUDA Version: 12.4     |"
    program.write_text(f"#!/bin/sh\n[ $# = 0 ] && echo '{head}' || echo 'RTX 4090, 24564'\n")
    program.chmod(0o755)
    pod.env["PATH"] = f"{program.parent}:/usr/bin:/bin"
    facts = pod.ask("probe")
    assert facts["cuda_driver"] == "12.4"
    assert facts["has_venv"] is True
    assert facts["write_error"] is None
    assert list(pod.root.glob(".room*")) == []
