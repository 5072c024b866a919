"""What people expect of a job runner: names, variables, several runs, tries, ports."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.lanes import HANGS_S
from tests.support.pods import AgentPod, wait_until
from tests.support.projects import PROGRAM, Project

pytestmark = [pytest.mark.e2e, pytest.mark.process]

SHOW = "import os; print(os.environ['ONE'], os.environ['TWO'], os.environ.get('PYTHONPATH'))"


def pod_of(project: Project) -> AgentPod:
    """The embedded pod's folder."""
    return AgentPod(project.state / "local-pod" / "root")


def spec_of(project: Project, run_id: str) -> dict[str, object]:
    """What the pod has of a run."""
    found: dict[str, object] = json.loads(
        (pod_of(project).folder(run_id) / "spec.json").read_text()
    )
    return found


def test_a_run_is_named_by_its_script_and_what_it_was_given(local_project: Project) -> None:
    local_project.write("train.py", "print('trained')\n")
    words = ("run", "--detach", "--", "python", "train.py", "--lr", "3e-3")
    run_id = local_project.ok(*words).strip()
    assert re.fullmatch(r"\d{8}-\d{6}-train-lr3e-3-[0-9a-f]{4}", run_id)
    pod_of(local_project).wait(run_id)
    assert re.search(rf"{run_id} +SUCCEEDED .* python train.py --lr 3e-3", local_project.ok("runs"))
    named = local_project.ok("run", "--name", "Warm start", *words[1:]).strip()
    assert "-warm-start-" in named
    replayed = local_project.ok("train", "--replay", run_id, "--name", "once more", "--detach")
    assert "-once-more-" in replayed
    for name in (run_id, named, replayed.strip()):
        pod_of(local_project).wait(name)
    assert local_project.refused(2, "run", "--name", "!", "--", "true")


def test_variables_are_given_recorded_and_replayed(local_project: Project) -> None:
    local_project.env["TWO"] = "of mine"
    words = ("--env", "ONE=a=b", "--env", "TWO")
    done = local_project.run("run", *words, "--", "python", "-c", SHOW)
    assert done.stdout == "a=b of mine None\n", done.stderr
    run_id = local_project.json("runs")[-1]["run_id"]
    assert spec_of(local_project, run_id)["env"] == {"ONE": "a=b", "TWO": "of mine"}
    del local_project.env["TWO"]
    again = local_project.run("train", "--replay", run_id, "--env", "ONE=c")
    assert again.stdout == "c of mine None\n"
    for wrong in ("TWO", "MOOLA_RUN_DIR=x", "1=2"):
        assert local_project.refused(2, "run", "--env", wrong, "--", "true")


def test_a_wrong_setting_is_refused_before_anything_is_sent(offline: Project) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "epochs": {"type": "integer"}},
        "additionalProperties": False,
    }
    offline.write("recipes/schema.json", json.dumps(schema))
    line = offline.refused(10, "train", "--set", "epoch.s=3")
    assert "unknown key epoch, expected one of name, epochs; did you mean epochs?" in line
    offline.write("recipes/calm.yaml", "epochs: many\n")
    assert "calm.yaml: epochs: expected integer" in offline.refused(10, "train")
    assert not (offline.state / "local-pod").exists()


def test_several_runs_are_fetched_at_once_and_those_that_are_missing(alone: Project) -> None:
    runs = [alone.ok("run", "--detach", "--", "sh", "-c", f"echo {i}").strip() for i in range(3)]
    for run_id in runs:
        pod_of(alone).wait(run_id)
    alone.ok("fetch", "--run", runs[0], runs[1])
    assert sorted(path.name for path in (alone.folder / "results").glob("2*")) == sorted(runs[:2])
    answers = alone.json("fetch", "--unfetched")
    assert [answer["run_id"] for answer in answers] == [runs[2]]
    done = alone.run("fetch", "--unfetched")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to fetch: each ended run has a verified copy here" in done.stderr
    (alone.folder / "results" / runs[1] / "log").write_text("mine")
    shutil.rmtree(alone.folder / "results" / runs[0])
    line = alone.refused(15, "fetch", "all", runs[1], runs[0])
    assert line.startswith("error: 1 of 2 runs were not fetched")
    assert (alone.folder / "results" / runs[0] / "log").read_text() == "0\n"
    for wrong in (("fetch", "--unfetched", runs[0]), ("fetch", "all", *runs[:2], "--watch")):
        assert alone.refused(2, *wrong)


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_a_run_whose_pod_was_taken_away_goes_on(
    local_project: Project, has_checkpoint: bool
) -> None:
    local_project.write(
        "slow.py",
        f"""\
        import os, pathlib, time
        run = pathlib.Path(os.environ["MOOLA_RUN_DIR"])
        known = pathlib.Path({str(local_project.state)!r}, "seen")
        resumed = os.environ.get("MOOLA_RESUME_DIR") is not None
        print("resumed", resumed, "again", known.exists(), flush=True)
        if not known.exists():
            if {has_checkpoint}:
                (run / "checkpoints" / "one").mkdir(parents=True)
                (run / "checkpoints" / "one" / "w").write_text("w")
            known.touch()
            print("ready", flush=True)
            time.sleep(600)
        """,
    )
    pod = pod_of(local_project)
    (local_project.state / "seen").unlink(missing_ok=True)
    with local_project.running(PROGRAM, "run", "--retry", "1", "--", "python", "slow.py") as asked:
        assert asked.stderr
        run_id = next(line.split()[1] for line in asked.stderr if "started; Ctrl-C" in line)
        pod.wait_for_log(run_id, "ready")
        os.kill(pod.process(run_id, "supervisor"), signal.SIGTERM)
        out, err = asked.communicate(timeout=HANGS_S)
    (local_project.state / "seen").unlink()
    assert asked.returncode == 0, err
    assert "preempted, the pod is being stopped" in err
    assert "trying again, 0 more after this" in err
    assert f"resumed {has_checkpoint} again True" in out


def test_a_failed_job_is_not_tried_again(local_project: Project) -> None:
    done = local_project.run("run", "--retry", "3", "--", "sh", "-c", "exit 3")
    assert done.returncode == 20
    assert "trying again" not in done.stderr
    assert local_project.refused(2, "run", "--retry", "1", "--detach", "--", "true")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_port_of_the_pods_answers_here(project: Project) -> None:
    there, here = free_port(), free_port()
    with project.running(PROGRAM, "forward", f"{here}:{there}") as forward:
        assert forward.stdout
        assert forward.stdout.readline().startswith(f"http://127.0.0.1:{here} is localhost:{there}")
        with pytest.raises(OSError, match=r".+"):
            urllib.request.urlopen(f"http://127.0.0.1:{here}/", timeout=HANGS_S)
        server = subprocess.Popen(
            ["python3", "-m", "http.server", "-b", "127.0.0.1", str(there)],
            cwd=project.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            answer = retried(f"http://127.0.0.1:{here}/pyproject.toml")
            assert answer == (project.folder / "pyproject.toml").read_bytes()
            assert project.refused(10, "forward", str(here)).startswith(
                f"error: port {here} of this machine: is taken; take another"
            )
        finally:
            server.kill()
            server.wait()
        forward.send_signal(signal.SIGINT)
        _, err = forward.communicate(timeout=HANGS_S)
    assert forward.returncode == 0, err
    assert err.count("nothing answers at localhost:") == 1


def retried(url: str) -> bytes:
    def answered() -> bytes:
        with suppress(OSError), urllib.request.urlopen(url, timeout=HANGS_S) as answer:
            return bytes(answer.read())
        return b""

    return bytes(wait_until(answered))


@pytest.mark.parametrize("word", ["0", "70000", "x", "1:2:3:4"])
def test_what_is_no_port_is_refused(offline: Project, word: str) -> None:
    assert "expected a port such as 6006" in offline.refused(2, "forward", word)


def test_openssh_reaches_the_pod_by_its_block(project: Project, tmp_path: Path) -> None:
    block = tmp_path / "config"
    block.write_text(project.ok("ssh-config"))
    name = block.read_text().split()[1]
    done = subprocess.run(
        ["ssh", "-F", str(block), "-o", "BatchMode=yes", name, "echo", "there"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "there\n"), done.stderr
