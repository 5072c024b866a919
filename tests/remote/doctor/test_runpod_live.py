"""``doctor --live`` against a RunPod that breaks at each call: it leaves no pod, or says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from moola_remote.config.paths import LaptopPaths
from moola_remote.config.settings import PodConfig, RunpodConfig
from moola_remote.doctor.runpod_live import Live, Tried
from moola_remote.providers.runpod.client import RunpodClient
from moola_remote.providers.runpod.provider import RunpodProvider
from moola_remote.ssh.transport import Completed
from tests.support.runpod_double import GPU, IMAGE, KEY, Double, Fault


def no_wait(_: float) -> None:
    """Instead of a sleep."""


def strict(body: dict[str, Any]) -> tuple[int, str] | None:
    """Refuses the field that the document has not."""
    return (422, "no such field") if "moolaUnknown" in body else None


class FakeAgent:
    """An agent that proves and finds whatever is asked, and whose guard stops the pod at once."""

    root = "/workspace/moola"

    def __init__(self, double: Double) -> None:
        self._double = double
        self.transport = self

    def call(self, verb: str, *, stdin: Any = None, **_: Any) -> dict[str, Any]:
        """A verb's answer."""
        if stdin and stdin.get("idle_stop_s"):
            for pod in self._double.pods.values():
                pod.status = "EXITED"
        facts = {"python": "3.12.3", "rsync": "3.2.7", "has_venv": True, "gpus": []}
        return {"proved": ["python"]} if verb == "guard" else facts

    def run(self, _: list[str]) -> Completed:
        """A command's end."""
        return Completed(0, b"", b"")

    def close(self) -> None:
        """Nothing to close."""


def go(double: Double, folder: Path, limit_min: float = 0.002) -> list[Tried]:
    """One whole check, with nobody behind the pods' ports; a start may take `limit_min`."""
    section = RunpodConfig(
        gpus=[GPU], max_price=0.9, image=IMAGE, cuda="12.8", start_limit_min=limit_min, owner="anna"
    )
    pod = PodConfig(name="x", provider="runpod", runpod=section)
    transport = httpx.WSGITransport(double)
    with RunpodClient(KEY, double.url, sleep=no_wait, transport=transport) as client:
        provider = RunpodProvider(
            pod,
            section,
            LaptopPaths(folder),
            double.url,
            lambda: client,
            lambda *_: None,
            poll_s=0.0,
            sleep=no_wait,
        )
        live = Live(provider, lambda _: FakeAgent(double))  # type: ignore[arg-type, return-value]
        return live.run()


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Those of a check in which all is well."""
    double = Double(is_checked=False)
    double.refuse = strict
    tried = go(double, tmp_path_factory.mktemp("laptop"), limit_min=5)
    changes = "after a start its host key changes", "after a start its port changes"
    assert [one.name for one in tried if not one.holds] == list(changes)
    assert double.pods == {}
    return double.calls


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "refuse"),
    [
        *(("500", strict), ("html", strict), ("lost-after", strict)),
        ("lost-after", lambda _: None),  # the field that nobody knows is taken
    ],
)
def test_whatever_call_fails_no_pod_is_left_or_it_is_reported(
    calls: list[str], tmp_path: Path, fault: Fault, refuse: Callable[[Any], Any]
) -> None:
    num_reported = 0
    for first in range(1, len(calls)):  # the first reads the catalog, before there is anything
        double = Double(is_checked=False)
        double.ways_to_be_lost = httpx.ReadTimeout
        double.refuse = refuse
        # As many as exhaust the patience with one call.
        double.fault = lambda _, d=double, n=first: (  # type: ignore[misc]
            fault if n < len(d.calls) <= n + 6 else None
        )
        tried = go(double, tmp_path)
        last = tried[-1]
        assert last.name == "a removed pod is gone"
        is_reported = "a pod may be left, and cost money" in last.seen
        assert is_reported or double.pods == {}, (first, calls[first], tried)
        num_reported += is_reported
    assert num_reported <= 8  # of the removal itself


def test_an_interrupt_before_the_removal_leaves_no_pod(calls: list[str], tmp_path: Path) -> None:
    class Pressed(KeyboardInterrupt):
        """Ctrl-C, after the API has done what it was asked for."""

    removal = max(number for number, call in enumerate(calls) if call.startswith("DELETE")) - 1
    for first in range(removal):
        double = Double(is_checked=False)
        double.ways_to_be_lost = Pressed
        double.refuse = strict
        double.fault = lambda _, d=double, n=first: (  # type: ignore[misc]
            "lost-after" if len(d.calls) == n + 1 else None
        )
        with pytest.raises(Pressed):
            go(double, tmp_path)
        assert double.pods == {}, calls[first]
