"""What is on record of a run, and running it again as it was."""

from __future__ import annotations

import shutil

import pytest

from tests.projects import Project

pytestmark = pytest.mark.e2e


def facts(shown: str) -> dict[str, str]:
    """The lines of ``runs show`` by their names."""
    lines = (line for line in shown.splitlines() if not line.startswith("  | "))
    return {line[:12].strip(): line[13:] for line in lines}


def test_show_tells_all_about_a_run(local_project: Project) -> None:
    local_project.write("tiny/__init__.py", "DIRTY = True\n")
    local_project.ok("train", "--epochs", "1")
    told = facts(shown := local_project.ok("runs", "show"))
    assert told["state"] == "SUCCEEDED"
    assert told["command"] == "python -m tiny.train --config recipes/calm.yaml --epochs 1"
    assert told["commit"].endswith(", branch main")
    assert told["changes"] == "1 files, +1 -0; --diff prints them"
    assert (told["seed"], told["recipe"], told["device"]) == ("7", "calm", "cpu")
    assert (told["python"], told["torch"]) == ("3.9.1", "2.9.1")  # the job's word
    assert "  | epochs: 3\n" in shown
    assert "+DIRTY = True" in local_project.ok("runs", "show", "--diff")

    (record,) = local_project.json("runs", "show")
    spec = record["spec"]
    assert [told["code"], told["data"], told["env"]] == [
        spec["code"],
        spec["data"],
        spec["environment"],
    ]
    assert len(spec["source"]["commit"]) == 40
    assert "+DIRTY = True" in spec["source"]["diff"]
    assert record["machine"]["torch"] == "2.9.1"


def test_show_knows_a_fetched_run_that_is_gone_from_the_pod(local_project: Project) -> None:
    run_id = local_project.ok("train", "--epochs", "1", "--detach").strip()
    local_project.ok("attach", run_id)
    local_project.ok("fetch", "results", run_id)
    on_pod = facts(local_project.ok("runs", "show", run_id))
    shutil.rmtree(local_project.state / "local-pod" / "root" / "runs" / run_id)
    here = facts(local_project.ok("runs", "show", run_id[:-2]))
    assert here.pop("state").startswith("not on the pod any more")
    assert here.items() <= on_pod.items()
    assert "unknown, expected for example" in local_project.refused(10, "runs", "show", "2020")
