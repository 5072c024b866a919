"""What is said where a pod can't be asked what would be lost."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from moola_remote.cli.safety import MAX_LISTED, ask, require_verified_copies
from moola_remote.errors import LimitError, UnreachableError
from moola_remote.protocol.state import RunState


class Silent:
    """An agent that nobody reaches."""

    def call(self, *_: str, **__: Any) -> dict[str, Any]:
        raise UnreachableError("host: no answer")


@pytest.fixture
def session(tmp_path: Path) -> Any:
    pod = SimpleNamespace(name="far", command="moola-remote", agent=Silent(), transport=None)
    project = SimpleNamespace(results_folder=tmp_path)
    laptop = SimpleNamespace(hash_cache=tmp_path / "hashes.json")
    return SimpleNamespace(pod=pod, project=project, laptop=laptop)


def test_a_pod_that_can_not_be_asked_is_not_stopped_unseen(session: Any) -> None:
    with pytest.raises(UnreachableError) as caught:
        require_verified_copies(session, "stop")
    assert str(caught.value) == (
        "host: no answer; so what would be lost isn't known; moola-remote stop --force does it "
        "unseen"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_nothing_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(click.UsageError, match=r"Remove it\? No terminal .*, expected --yes"):
        ask("Remove it?")


def test_a_no_and_no_answer_are_no(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in ("n\n", "\n", ""):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        with pytest.raises(click.Abort):
            ask("Remove it?")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    ask("Remove it?")


def test_many_runs_are_counted_and_the_newest_named(
    session: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [RunState(run_id=f"r{n}", state="RUNNING", log_size=1000) for n in range(30)]
    with pytest.raises(LimitError, match=r"pod far: 30 runs have 30\.0 kB without .* cancel r29"):
        require_verified_copies(session, "down", runs)
    reported = capsys.readouterr().err.splitlines()
    assert reported[-2:] == [
        "would be lost, r29: is RUNNING, 1.0 kB",
        "would be lost, 10 older runs",
    ]
    assert len(reported) == MAX_LISTED + 1
