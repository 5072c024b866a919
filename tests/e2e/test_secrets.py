"""Whatever a run with secrets leaves behind, on both sides, holds none of them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lanes import HANGS_S
from tests.support.pods import AgentPod
from tests.support.projects import PROGRAM, Project

pytestmark = [pytest.mark.e2e, pytest.mark.process]

API_KEY = "rpa_4Zq8wertzuiopASDFGHJ"
SECRET = 'hf_5Bn7yxcv"bnm\\QWERTZ'
FORMS = [form.encode() for form in (API_KEY, SECRET, json.dumps(SECRET)[1:-1], repr(SECRET)[1:-1])]

# Says its secret in every way that it has, and fails with it.
TALKER = """
import json, os, sys, time
secret, folder = os.environ["HF_TOKEN"], os.environ["MOOLA_RUN_DIR"]
print("the secret is", secret, flush=True)
print(repr(secret), os.environ.get("RUNPOD_API_KEY"), file=sys.stderr, flush=True)
with open(folder + "/events.jsonl", "a") as file:
    file.write(json.dumps({"schema": 1, "t": 1.0, "kind": "note", "text": secret}) + "\\n")
while not os.path.exists(folder + "/go"):
    time.sleep(0.02)
raise RuntimeError(secret)
"""
# A bug of ours in the middle of a command that has the secret and the key.
BUG = """
import click, sys
from moola_remote.cli import main
from moola_remote.cli.options import secret_option
from moola_remote.cli.main import program
from moola_remote.providers.runpod.credentials import find_api_key
@program.command()
@secret_option
def boom(secrets):
    key = find_api_key()
    raise ZeroDivisionError(f"{secrets} {key} {key.reveal()}")
main(["boom", "--secret", "HF_TOKEN"])
"""


def files_with_a_secret(*tops: Path) -> list[Path]:
    """Every file below that holds one."""
    files = [path for top in tops for path in top.rglob("*") if path.is_file()]
    assert len(files) > 20
    return [path for path in files if any(form in path.read_bytes() for form in FORMS)]


def command_lines() -> Iterator[bytes]:
    """Of every process."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes()


def test_a_run_that_prints_its_secret_leaves_it_nowhere(alone: Project) -> None:
    alone.env.update(RUNPOD_API_KEY=API_KEY, HF_TOKEN=SECRET)
    pod = AgentPod(alone.state / "local-pod" / "root")
    words = ("-v", "run", "--secret", "HF_TOKEN", "--", "python", "-c", TALKER)
    with alone.running(PROGRAM, *words) as following:
        assert following.stdout
        first = following.stdout.readline()
        assert not any(form in line for line in command_lines() for form in FORMS)
        (folder,) = (pod.root / "runs").glob("2*")
        (folder / "go").touch()
        out, talk = following.communicate(timeout=HANGS_S)
    assert following.returncode == 20
    assert first == f"the secret is {'*' * len(SECRET)}\n"
    assert "RuntimeError: ***" in talk.splitlines()[-1]
    assert SECRET not in "".join(map(str, AgentPod(pod.root).stored(folder.name)["last_lines"]))
    reported = [first, out, talk, *(alone.run(*words).stdout for words in [("logs",), ("runs",)])]
    reported += [alone.run("--json", "attach").stdout]

    folder = Path(alone.ok("fetch", "all").splitlines()[0])
    assert json.loads((folder / "spec.json").read_text())["secret_names"] == ["HF_TOKEN"]
    with alone.running(sys.executable, "-c", BUG) as bug:
        reported += bug.communicate(timeout=HANGS_S)
    assert bug.returncode == 1
    assert "ZeroDivisionError" in (alone.state / "bug.log").read_text()

    assert not any(form.decode() in text for text in reported for form in FORMS)
    assert files_with_a_secret(alone.folder, alone.state) == []


@pytest.mark.parametrize(
    ("word", "env", "expected"),
    [
        ("HF_TOKEN=hf_12345678", {}, "expected the NAME of an environment variable"),
        ("HF_TOKEN", {}, "HF_TOKEN is not set"),
        ("HF_TOKEN", {"HF_TOKEN": "hf_12"}, "too short to be kept out of logs"),
    ],
)
def test_a_wrong_secret_is_refused_before_anything_is_sent(
    offline: Project, word: str, env: dict[str, str], expected: str
) -> None:
    offline.env.update(env)
    line = offline.refused(2, "run", "--secret", word, "--", "true")
    assert expected in line
    assert "hf_12" not in line
