"""What the pods of an account cost, and which are past their end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest

from moola_remote.cli.error_handler import run
from moola_remote.providers.runpod.account import costs, ours, overdue
from moola_remote.providers.runpod.client import RunpodClient
from moola_remote.providers.runpod.metering import deadline_of
from moola_remote.providers.runpod.pod_name import PodName
from moola_remote.runs.costs import RunCost, run_costs
from tests.support.projects import Project, make_project
from tests.support.runpod_double import GPU, IMAGE, KEY, Double, FakePod, serving

pytestmark = pytest.mark.process


@pytest.fixture
def double() -> Iterator[Double]:
    with serving(Double()) as double:
        yield double
        assert double.wrong == []


def add(double: Double, hours: float = 24, age_h: float = 0.0, owner: str = "anna") -> FakePod:
    """A pod of ours, made `age_h` hours ago to live for `hours`."""
    deadline = datetime.now(timezone.utc) + timedelta(hours=hours - age_h)
    name = PodName.new(owner, "x", deadline)
    mounts = {"persistent": {"size": 60, "path": "/workspace"}}
    body = {"name": str(name), "image": IMAGE, "gpu": {"id": GPU}, "mounts": mounts}
    with RunpodClient(KEY, double.url) as client:
        made = double.pods[client.create(body).id]
    made.created_at = made.started_at = time.time() - 3600 * age_h
    return made


def test_each_pod_of_ours_is_a_line_running_stopped_or_gone(double: Double) -> None:
    running, stopped = add(double, age_h=2.0), add(double)
    add(double, owner="bob")
    stopped.status = "EXITED"
    double.billed_before = {"gone1": 3.25}
    with RunpodClient(KEY, double.url) as client:
        reported = {line.pod_id: line for line in costs(client, "anna", days=30)}
    assert set(reported) == {running.id, stopped.id, "gone1"}
    assert reported[running.id].metered == pytest.approx(1.5, abs=0.01)
    assert reported[running.id].billed == 1.5
    assert reported[stopped.id].per_hour == pytest.approx(60 * 0.2 / 730)
    assert reported[stopped.id].metered == 0.0
    assert (reported["gone1"].billed, reported["gone1"].per_hour) == (3.25, 0.0)


def test_a_pod_is_past_its_end_by_its_name_and_its_last_start(double: Double) -> None:
    late, fresh = add(double, hours=2, age_h=3), add(double, hours=24, age_h=3)
    again, stopped = add(double, hours=2, age_h=3), add(double, hours=2, age_h=3)
    again.started_at = time.time() - 60  # started again a minute ago
    stopped.status = "EXITED"
    with RunpodClient(KEY, double.url) as client:
        pods = ours(client.pods(), "anna")
        assert [pod.id for pod in overdue(pods, client.now())] == [late.id]
        (shown,) = [pod for pod in pods if pod.id == fresh.id]
    deadline = deadline_of(shown)
    assert deadline is not None
    assert deadline.timestamp() == pytest.approx(time.time() + 21 * 3600, abs=60)


@pytest.fixture
def project(double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a rented pod, as the current folder."""
    project = make_project(tmp_path / "project", tmp_path / "state")
    section = f"{{gpus: [{GPU}], max_price: 1, image: x, cuda: '12.8', owner: anna}}"
    project.write("configs/pods/rented.yaml", f"provider: runpod\nrunpod: {section}\n")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    monkeypatch.setenv("MOOLA_STATE_DIR", str(project.state))
    monkeypatch.setenv("MOOLA_RUNPOD_API", double.url)
    return project


def test_reap_stops_what_is_past_its_end_and_nothing_else(
    double: Double, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    late, fresh = add(double, hours=2, age_h=3), add(double)
    assert run(["reap"]) == 14
    assert "1 pods are past their end; moola-remote reap --yes" in capsys.readouterr().err
    assert late.status == "RUNNING"
    assert run(["reap", "--yes"]) == 0
    assert capsys.readouterr().out == f"{late.id}: stopped\n"
    assert (late.status, fresh.status) == ("EXITED", "RUNNING")
    assert run(["reap"]) == 0


def test_cost_shows_meter_bill_and_runs(
    double: Double, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = add(double, age_h=2)
    made_run(project.folder / "results" / "run-a", seconds=1800, price=0.75)
    noted(project.state / "journals" / "rented" / "run-b", state="QUEUED")
    assert run(["cost"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown[1:3]] == [
        [pod.body["name"], "running", "0.750", "2h", "00m", "1.50", "1.50"],
        ["all", "0.750", "1.50", "1.50"],
    ]
    assert shown[4].split()[:5] == ["run-a", "30m", "00s", "0.375", "so"]
    assert shown[5].split() == ["run-b", "-", "-", "not", "seen", "at", "work", "from", "here"]
    assert shown[6].split() == ["all", "0.375", "at", "least"]
    assert run(["--json", "cost"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["billed"] == 1.5


def test_without_a_rented_pod_there_is_no_cost(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.folder / "configs" / "pods" / "rented.yaml").unlink()
    assert run(["cost"]) == 10
    assert "no file with provider: runpod" in capsys.readouterr().err


def made_run(folder: Path, *, seconds: float, price: float | None) -> None:
    """A run whose events are here."""
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps({"price_per_hour": price}))
    lines = [json.dumps({"t": t, "kind": "note"}) for t in (100.0, 101.0, 100.0 + seconds)]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")


def noted(folder: Path, **keys: object) -> None:
    """A run that was looked at once."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {"run_id": folder.name, "state": "RUNNING", "price_per_hour": 0.5, **keys}
    (folder / "state.json").write_text(json.dumps(state))


def test_a_run_costs_its_time_at_its_pods_price_and_what_is_not_known_is_said(
    tmp_path: Path,
) -> None:
    results, journals = tmp_path / "results", tmp_path / "journals"
    made_run(results / "a", seconds=1000, price=0.5)
    noted(results / "a", state="FAILED", started_at=100.0, ended_at=3700.0)
    noted(journals / "x" / "a", started_at=100.0, now=200.0)
    made_run(results / "b", seconds=60, price=None)  # no price: no cost
    made_run(journals / "x" / "c", seconds=7200, price=0.5)
    noted(journals / "y" / "d", started_at=100.0, now=1900.0)  # another laptop's
    noted(journals / "y" / "e", state="QUEUED", now=1900.0)
    noted(journals / "y" / "f", state="CANCELLED", ended_at=1900.0)
    noted(journals / "y" / "g", price_per_hour="much")
    (journals / "y" / "h").mkdir()
    (journals / "y" / "h" / "spec.json").write_text("[]")
    assert run_costs(results, journals) == [
        RunCost("a", 3600.0, 0.5, is_over=True),
        RunCost("c", 7200.0, 1.0, is_over=False),
        RunCost("d", 1800.0, 0.25, is_over=False),
        RunCost("e", None, None, is_over=False),
        RunCost("f", 0.0, 0.0, is_over=True),
    ]


def test_a_bill_in_a_form_of_its_own_is_one_line() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"records": 3}))
    with (
        RunpodClient(KEY, transport=transport) as client,
        pytest.raises(Exception, match="not an answer of API v2, records"),
    ):
        costs(client, "anna", days=1)
