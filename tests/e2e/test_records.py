"""What is on record of a run, and running it again as it was."""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace

import pytest

from moola_remote.protocol.spec import Machine, Spec
from moola_remote.runs.replay import differences
from tests.support.projects import Project

pytestmark = [pytest.mark.e2e, pytest.mark.process]


def facts(shown: str) -> dict[str, str]:
    """The lines of ``runs show`` by their names."""
    lines = (line for line in shown.splitlines() if not line.startswith("  | "))
    return {line[:12].strip(): line[13:] for line in lines}


def test_show_prints_all_about_a_run(local_project: Project) -> None:
    local_project.write("tiny/__init__.py", "DIRTY = True\n")
    local_project.ok("train", "--epochs", "1")
    reported = facts(shown := local_project.ok("runs", "show"))
    assert reported["state"] == "SUCCEEDED"
    assert reported["command"] == "python -m tiny.train --config recipes/calm.yaml --epochs 1"
    assert reported["commit"].endswith(", branch main")
    assert reported["changes"] == "1 file, +1 -0; --diff prints them"
    assert (reported["seed"], reported["recipe"], reported["device"]) == ("7", "calm", "cpu")
    assert (reported["python"], reported["torch"]) == ("3.9.1", "2.9.1")  # the job's word
    assert "  | epochs: 3\n" in shown
    assert "+DIRTY = True" in local_project.ok("runs", "show", "--diff")

    (record,) = local_project.json("runs", "show")
    spec = record["spec"]
    assert [reported["code"], reported["data"], reported["env"]] == [
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
    assert here.pop("from") == "files here; it is not on the pod"
    assert here == on_pod
    shutil.rmtree(local_project.folder / "results")
    assert facts(local_project.ok("runs", "show", run_id))["code"] == on_pod["code"]
    assert "unknown, expected for example" in local_project.refused(10, "runs", "show", "2020")


def test_what_this_laptop_asked_for_outranks_what_the_pod_says(local_project: Project) -> None:
    run_id = local_project.ok("train", "--epochs", "1", "--detach").strip()
    local_project.ok("attach", run_id)
    path = local_project.state / "local-pod" / "root" / "runs" / run_id / "spec.json"
    reported = path.read_text()
    for text in (
        reported.replace("tiny.train", "evil.train"),
        reported.replace(run_id, "another"),
        "{",
    ):
        path.write_text(text)
        assert "tiny.train" in facts(local_project.ok("runs", "show", run_id))["command"]


def digests(project: Project) -> tuple[str, str]:
    """Of the latest run's code and data."""
    spec = project.json("runs", "show")[0]["spec"]
    return spec["code"], spec["data"]


def replayed(project: Project, run_id: str) -> list[str]:
    """Run it again; what was said to differ."""
    done = project.run("train", "--replay", run_id)
    assert done.returncode == 0, done.stderr
    mark = f"not as it was for {run_id}: "
    return [line[len(mark) :] for line in done.stderr.splitlines() if line.startswith(mark)]


def test_words_that_are_no_utf8_are_recorded_as_they_are(local_project: Project) -> None:
    word = os.fsdecode(b"a\xffb")
    show = "import os, sys; print(os.fsencode(sys.argv[1] + os.environ['KEY']))"
    local_project.ok("run", "--env", f"KEY={word}", "--", "python", "-c", show, word)
    spec = local_project.json("runs", "show")[0]["spec"]
    assert (spec["argv"][-1], spec["env"]) == (word, {"KEY": word})
    assert r"a\udcffb" in local_project.ok("runs", "show")
    assert local_project.json("runs")[-1]["state"] == "SUCCEEDED"
    assert replayed(local_project, spec["run_id"]) == []
    assert local_project.ok("logs").splitlines()[-1] == r"b'a\xffba\xffb'"


def test_a_replay_runs_the_same_bytes_and_reports_what_differs(local_project: Project) -> None:
    local_project.write("tiny/untracked.py", "HERE = 1\n")
    run_id = local_project.ok("train", "--detach", "--epochs", "1").strip()
    local_project.ok("attach", run_id)
    code, data = digests(local_project)
    local_project.write("tiny/untracked.py", "HERE = 2\n")
    local_project.write("data/numbers/one.txt", "2\n")
    assert replayed(local_project, run_id) == []
    assert digests(local_project) == (code, data)
    record = local_project.json("runs", "show")[0]
    assert record["spec"]["replay_of"] == run_id
    assert record["spec"]["argv"][-2:] == ["--epochs", "1"]

    root = local_project.state / "local-pod" / "root"
    for kind, digest in (("code", code), ("data", data)):  # another pod, or a cleaned one
        shutil.rmtree(root / kind / digest)
        (root / kind / f"{digest}.json").unlink()
    (reported,) = replayed(local_project, run_id)
    assert reported.startswith(f"data was {data}, is ")
    assert digests(local_project)[0] == code
    assert (root / "code" / code / "tiny" / "untracked.py").read_text() == "HERE = 1\n"
    assert "--replay runs the same again: it takes no --epochs" in local_project.refused(
        2, "train", "--replay", run_id, "--epochs", "2"
    )


def test_a_replay_whose_code_is_nowhere_is_refused_in_one_line(local_project: Project) -> None:
    run_id = local_project.ok("train", "--detach", "--epochs", "1").strip()
    local_project.ok("attach", run_id)
    code, _ = digests(local_project)
    (local_project.state / "snapshots" / f"{code}.json").unlink()
    assert replayed(local_project, run_id) == []  # from the pod
    files = local_project.state / "snapshots" / "files"
    for path in files.iterdir():
        path.write_text("damaged")
    shutil.rmtree(local_project.state / "local-pod" / "root" / "code" / code)
    assert replayed(local_project, run_id) == []  # the project is still the same
    shutil.rmtree(local_project.state / "local-pod" / "root" / "code" / code)
    shutil.rmtree(local_project.state / "snapshots")
    local_project.write("tiny/more.py", "")
    line = local_project.refused(10, "train", "--replay", run_id)
    assert f"its code {code} is not on pod local" in line
    assert "git checkout" in line


def test_what_a_run_stood_on_and_what_is_there_are_compared() -> None:
    spec = Spec(
        run_id="r",
        argv=["x"],
        data="0" * 16,
        environment="1" * 16,
        machine=Machine(python="3.11.2", packages="3" * 16, torch="2.1", device="RTX 4090"),
        secret_names=["A", "B"],
        parent="20260101-000000-x-abcd",
    )
    deployed = SimpleNamespace(
        trees={"data": "0" * 16, "environment": "2" * 16},
        machine={
            "python": "3.11.2",
            "packages": "3" * 16,
            "torch": "2.9",
            "cuda": None,
            "device": "cpu",
        },
    )
    assert list(differences(spec, deployed, {"A"})) == [  # type: ignore[arg-type]
        "torch was 2.1, is 2.9",
        "device was RTX 4090, is cpu",
        f"environment was {'1' * 16}, is {'2' * 16}",
        "it was resumed from the checkpoints of 20260101-000000-x-abcd; this starts from scratch",
        "it had the secrets B; give them with --secret NAME",
    ]
