"""What would be lost: compared by hash with what lies here."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from moola_remote.agent_client import verbs
from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import list_runs
from moola_remote.results.unfetched import UnfetchedRun, find_unsaved
from tests.support.fakes import ShellTransport
from tests.support.pods import put_agent

pytestmark = pytest.mark.process

RUN = "20260101-000000-x-abcd"
FILES = {"log": b"said\n", "artifacts/model": b"weights", "checkpoints/epoch-0001/state": b"12"}


class Place:
    """A pod with one run, and what was fetched of it."""

    def __init__(self, top: Path) -> None:
        self.run = top / "root" / "runs" / RUN
        self.results = top / "results"
        self.transport = ShellTransport(top)
        put_agent(str(top / "root"))
        self.agent = Agent(self.transport, root=str(top / "root"), python=sys.executable)
        for folder in (self.run, self.results / RUN):
            for path, content in FILES.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        self.stand()

    def stand(self, declared: dict[str, Any] | None = None, **changes: Any) -> None:
        """Write the manifest, with more than files if `declared`, and a state that names it."""
        files = [
            {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in FILES.items()
        ]
        manifest = {"schema": 1, "run_id": RUN, "files": files, **(declared or {})}
        content = json.dumps(manifest).encode()
        for folder in (self.run, self.results / RUN):
            (folder / "manifest.json").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        state = {"run_id": RUN, "state": "SUCCEEDED", "manifest_sha256": digest, **changes}
        (self.run / "state.json").write_text(json.dumps(state))

    def look(self) -> list[UnfetchedRun]:
        states = list_runs(self.agent)
        self.transport.commands.clear()
        cache = self.results.parent / "hashes.json"
        return find_unsaved(self.transport, self.agent, states, self.results, cache=cache)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_was_fetched_whole_is_safe_and_the_pod_is_asked_once(place: Place) -> None:
    assert place.look() == place.look() == []
    assert [words[-1] for words in place.transport.commands] == ["manifests"]


def test_a_missing_changed_or_linked_copy_counts_with_its_size(place: Place) -> None:
    copy = place.results / RUN
    (copy / "log").write_bytes(b"SAID\n")
    (copy / "artifacts" / "model").unlink()
    (copy / "checkpoints/epoch-0001/state").unlink()
    (copy / "checkpoints/epoch-0001/state").symlink_to(place.run / "checkpoints/epoch-0001/state")
    (found,) = place.look()
    assert found == UnfetchedRun(
        RUN, "SUCCEEDED", "3 of 3 files are not here", True, tuple(FILES), 14
    )


def test_a_manifest_here_that_is_not_the_runs_own_proves_nothing(place: Place) -> None:
    (place.results / RUN / "manifest.json").write_text(
        json.dumps({"schema": 1, "run_id": RUN, "files": []})
    )
    (place.results / RUN / "log").unlink()
    (found,) = place.look()
    assert found.paths == ("log",)


def test_a_run_that_goes_on_would_be_lost_with_what_it_has_said(place: Place) -> None:
    """Nothing of it is declared yet, whatever lies here."""
    (state,) = list_runs(place.agent)
    alive = structs.replace(state, state="RUNNING", log_size=5, events_size=37)
    place.transport.commands.clear()
    found = find_unsaved(place.transport, place.agent, [alive], place.results)
    assert found == [UnfetchedRun(RUN, "", "is RUNNING", False, (), 42)]
    assert place.transport.commands == []


def test_what_the_pod_can_not_read_would_be_lost_if_it_has_bytes(place: Place) -> None:
    unread = {"reason": "Permission denied"}
    place.stand({"unreadable": [{"path": "key", "size": 30, **unread}, {"path": "pipe", **unread}]})
    (found,) = place.look()
    why = "1 of 5 files are not here, 1 can't be read on the pod"
    assert found == UnfetchedRun(RUN, "SUCCEEDED", why, True, ("key",), 30)


def test_links_and_empty_folders_are_here_with_the_manifest_that_names_them(place: Place) -> None:
    links = [{"path": "latest", "target": "checkpoints/epoch-0001"}]
    place.stand({"links": links, "folders": [{"path": "hollow"}]})
    assert place.look() == []
    copy = place.results / RUN / "manifest.json"
    copy.write_bytes(copy.read_bytes() + b"\n")
    (found,) = place.look()
    why = "2 of 5 files are not here"
    assert found == UnfetchedRun(RUN, "SUCCEEDED", why, True, ("latest", "hollow"), 0)


def test_a_run_whose_state_can_not_be_read_is_not_overlooked(place: Place) -> None:
    (place.run / "state.json").write_text("{")
    (found,) = place.look()
    assert "state.json: not readable" in found.why


def test_a_run_that_can_not_be_judged_is_not_safe(place: Place) -> None:
    place.stand(manifest_sha256="0" * 64)
    (found,) = place.look()
    assert "is not the one that state.json names" in found.why


def test_a_hundred_runs_cost_one_round_trip(place: Place) -> None:
    for number in range(249):
        name = f"20260102-{number:06d}-x-abcd"
        copy = place.run.with_name(name)
        shutil.copytree(place.run, copy)
        content = (copy / "manifest.json").read_text().replace(RUN, name).encode()
        (copy / "manifest.json").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        state = {"run_id": name, "state": "SUCCEEDED", "manifest_sha256": digest}
        (copy / "state.json").write_text(json.dumps(state))
    found = place.look()
    assert len(found) == 249  # the first was fetched
    assert all(one.paths == tuple(FILES) for one in found)
    assert len(place.transport.commands) == 3


def test_a_manifest_that_came_with_others_is_compared_with_its_hash(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(place.results / RUN)
    empty = json.dumps({"schema": 1, "run_id": RUN, "files": []}).encode()
    make_manifests = verbs.make_manifests

    def lying(agent: Agent, have: dict[str, str]) -> dict[str, tuple[str, bytes]]:
        return {run_id: (one[0], empty) for run_id, one in make_manifests(agent, have).items()}

    monkeypatch.setattr(verbs, "make_manifests", lying)
    (found,) = place.look()
    assert found.paths == tuple(FILES)
