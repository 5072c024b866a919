"""``--gpus`` is refused on the laptop where the GPUs are not there, or have nothing to share."""

from __future__ import annotations

import pytest

from moola_remote.config.settings import PodConfig, RunpodConfig
from moola_remote.errors import ConfigError
from moola_remote.runs.launch import check_gpus


def test_a_pod_that_would_be_rented_has_to_have_them() -> None:
    rents = RunpodConfig(gpus=["A"], gpu_count=2, image="i", cuda="12.8", max_price=1)
    rented = PodConfig(name="far.2", provider="runpod", runpod=rents)
    for gpus in (None, 1, 2):
        check_gpus(rented, gpus)
    with pytest.raises(ConfigError) as caught:
        check_gpus(rented, 4)
    assert str(caught.value) == (
        "--gpus 4: pod far.2 is rented with gpu_count 2; "
        "write gpu_count: 4 into configs/pods/far.yaml"
    )
    check_gpus(PodConfig(name="local", provider="local"), 4)
