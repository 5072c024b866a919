"""RunPod's double over TCP, with a real SSH server behind each pod's port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.config.paths import LaptopPaths
from moola_remote.config.settings import PodConfig, RunpodConfig
from moola_remote.providers.runpod.client import RunpodClient
from moola_remote.providers.runpod.pod_name import PodName
from moola_remote.providers.runpod.provider import RunpodProvider
from moola_remote.providers.runpod.startup import probe_pod
from tests.support.runpod_double import (
    GPU,
    IMAGE,
    KEY,
    Double,
)
from tests.support.runpod_over_ssh import double_over_ssh


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    """RunPod, whose pods are OpenSSH servers here."""
    with double_over_ssh(tmp_path) as double:
        yield double


@pytest.fixture
def provider(double: Double, tmp_path: Path) -> Iterator[RunpodProvider]:
    """The provider of ``configs/pods/x.yaml``."""
    section = RunpodConfig(
        gpus=[GPU], max_price=0.9, image=IMAGE, cuda="12.8", start_limit_min=5, owner="anna"
    )
    pod = PodConfig(name="x", provider="runpod", runpod=section)
    laptop = LaptopPaths(tmp_path / "state")
    with RunpodClient(KEY, double.url, sleep=lambda _: None, silence_s=0.1) as client:
        yield RunpodProvider(
            pod,
            section,
            laptop,
            double.url,
            lambda: client,
            lambda endpoint, ask: probe_pod(endpoint, ask, laptop),
            poll_s=0.05,
            sleep=lambda _: None,
        )


def make_another(provider: RunpodProvider) -> None:
    """A pod of the same file, as another `up` makes it."""
    name = PodName.new("anna", "x", provider.client.now())
    body = {"name": str(name), "image": IMAGE, "gpu": {"id": GPU}, "ports": ["22/tcp"]}
    provider.client.create({**body, "env": {"PUBLIC_KEY": provider.public_key()}})
