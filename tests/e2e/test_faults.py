"""A try of each quick fault; `make faults` has the rest, at both servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import client, network
from tests.faults.__main__ import Fault, happen, table
from tests.faults.scene import Findings, Scene, check_fetched, check_trees, scene

pytestmark = [pytest.mark.e2e, pytest.mark.process]
QUICK = [
    client.deploy_is_killed,
    client.train_is_killed,
    client.fetch_is_killed,
    network.server_is_killed,
    network.connection_is_reset,
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene("embedded", tmp_path_factory.mktemp("faults") / "scene") as place:
        yield place


@pytest.mark.parametrize("fault", QUICK)
def test_nothing_is_lost(place: Scene, fault: Callable[[Scene, int], Findings]) -> None:
    assert fault(place, 1).lost == []


def test_a_byte_that_differs_is_found(tmp_path: Path) -> None:
    far, near = tmp_path / "code" / "d1", tmp_path / "near"
    for folder in (far, near):
        folder.mkdir(parents=True)
        (folder / "log").write_text(folder.name)
    files = {"files": [{"path": "log", "sha256": "0" * 64}]}
    (far / "manifest.json").write_text(json.dumps(files))
    (tmp_path / "code" / "d1.json").write_text(json.dumps(files))
    found = Findings(1)
    check_fetched(found, far, near)
    check_trees(found, tmp_path)
    assert len(found.lost) == 2


def test_a_fault_that_breaks_the_program_is_reported_as_a_loss(place: Scene) -> None:
    def breaks(place: Scene, tries: int) -> Findings:
        raise RuntimeError(place.kind)

    row = happen(place, Fault("SSH server killed", breaks, 3))
    assert "RuntimeError: embedded" in row[2].lost[0]
    assert "| SSH server killed | embedded | 3 | 1 |" in table([row])
