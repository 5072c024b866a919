"""The environment: over the pod's own Python, made once, complete when its marker is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moola_remote.agent.made_environment import DESCRIBE_BASE
from moola_remote.deploy.declared import Dependencies
from tests.support.package_index import make_wheel
from tests.support.pods import AgentPod, make_bare_python

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
DIGEST = "0123456789abcdef"


def make(pod: AgentPod, bare_python: Path, requirements: str) -> dict[str, object]:
    # An index that doesn't exist: whoever asks the network fails.
    pod.env["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
    pod.env["PIP_RETRIES"] = "0"
    return pod.ask("environment", DIGEST, "--python", str(bare_python), stdin=requirements)


def test_what_the_base_has_is_used_and_nothing_is_downloaded(
    pod: AgentPod, bare_python: Path
) -> None:
    answer = make(pod, bare_python, "candle>=2\n")
    assert answer["ok"], answer
    assert answer["created"] is True
    packages = answer["packages"]
    assert isinstance(packages, dict)
    assert packages["wick"] == "2.5"
    assert answer["torch"] is None
    assert pod.ask("probe")["environments"] == [DIGEST]
    program = "import sys, candle; print(candle.VALUE, sys.prefix, '/nowhere/at/all' in sys.path)"
    state = pod.wait(pod.start("python", "-c", program, environment=DIGEST))
    assert state["last_lines"] == [f"7 {pod.root}/env/{DIGEST} False"]
    state = pod.wait(pod.shell("command -v python", environment=DIGEST))
    assert state["last_lines"] == [f"{pod.root}/env/{DIGEST}/bin/python"]


def test_a_probe_says_what_is_known_of_it(pod: AgentPod, bare_python: Path) -> None:
    pod.python = str(bare_python)
    needs = Dependencies(requirements="candle>=2\n")
    asked = {"environment": needs.lists}
    found = pod.ask("probe", stdin=asked)
    assert found["environment"] is None
    digest = needs.digest(found["python"])
    made = pod.ask("environment", digest, stdin=needs.asked)
    assert made["created"] is True
    marker = pod.root / "env" / f"{digest}.json"
    reserved = pod.root / "env" / f".reserved-{digest}"
    reserved.unlink(missing_ok=True)
    known = pod.ask("probe", stdin=asked)["environment"]
    assert known == {key: value for key, value in made.items() if key != "ok"} | {"created": False}
    assert reserved.exists()  # `clean` leaves what a run is about to be started on
    assert pod.ask("probe")["environment"] is None
    assert pod.ask("probe", stdin={"environment": "wick"})["environment"] is None
    marker.write_text(marker.read_text().replace('"base":{', '"base":{"other":1,'))
    assert pod.ask("probe", stdin=asked)["environment"] is None


@pytest.mark.parametrize("sees_base", [None, False, True])
def test_a_probe_describes_its_python_as_a_program_of_it_would(
    tmp_path: Path, sees_base: bool | None
) -> None:
    python, ran = os.path.realpath(sys.executable), tmp_path / "ran"
    if sees_base is not None:
        venv.create(tmp_path / "made", sees_base, symlinks=True)
        python = str(tmp_path / "made" / "bin" / "python")
        (packages,) = tmp_path.glob("made/lib/python*/site-packages")
        (packages / "start.pth").write_text(f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n")
    asked = (
        f"import json, sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from moola_remote.agent.made_environment import describe_base as describe; "
        "print(json.dumps(describe(sys.version.split()[0])))"
    )
    described = subprocess.check_output([python, "-ISB", "-c", asked])
    assert not ran.exists()
    assert json.loads(described) == json.loads(
        subprocess.check_output([python, "-c", DESCRIBE_BASE])
    )
    assert ran.exists() == (sees_base is not None)


def test_it_is_made_once_also_by_two_at_once(pod: AgentPod, bare_python: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: make(pod, bare_python, "candle"), range(2)))
    assert sorted(answer["created"] is True for answer in answers) == [False, True]
    assert answers[0]["packages"] == answers[1]["packages"]
    assert (pod.root / "env" / f".reserved-{DIGEST}").exists()  # by the second, for its run


def test_one_that_was_not_finished_is_made_anew(pod: AgentPod, bare_python: Path) -> None:
    torn = pod.root / "env" / DIGEST
    (torn / "bin").mkdir(parents=True)
    (torn / "rest").touch()
    assert make(pod, bare_python, "candle")["created"] is True
    assert not (torn / "rest").exists()


def test_what_can_not_be_installed_is_one_line_and_leaves_no_marker(
    pod: AgentPod, bare_python: Path
) -> None:
    answer = make(pod, bare_python, "candle>=3\n")
    assert (answer["ok"], answer["error"]) == (False, "environment")
    assert "candle>=3" in str(answer["message"])
    assert pod.ask("probe")["environments"] == []


@pytest.fixture
def with_uv(pod: AgentPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentPod:
    """The pod with uv, which finds `lamp` and a newer `candle` in a folder, and no network."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    make_wheel(tmp_path / "wheels", "lamp", "1.0", needs="wick>=2")
    make_wheel(tmp_path / "wheels", "candle", "2.9")
    settings = tmp_path / "uv.toml"
    settings.write_text(f'[pip]\nno-index = true\nfind-links = ["{tmp_path}/wheels"]\n')
    pod.env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "UV_CONFIG_FILE": str(settings),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0",
        "https_proxy": "http://127.0.0.1:9",
    }
    return pod


@pytest.mark.parametrize("form", ["plain", "with options", "trampoline", "another Python"])
def test_programs_of_the_base_see_what_is_added(pod: AgentPod, tmp_path: Path, form: str) -> None:
    """As torchrun and pip of an image: scripts that name its Python, however pip writes that."""
    folder = tmp_path / ("with blanks" if form == "trampoline" else "plain")
    python = make_bare_python(folder / "venv")
    make_wheel(tmp_path / "wheels", "lamp", "1.0")
    first = {
        "plain": f"#!{python}",
        "with options": f"#!{python} -E",
        "trampoline": f"#!/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n' '''",
        "another Python": f"#!{folder}/python",
    }[form]
    script = python.parent / "fit"
    script.write_text(f"{first}\nimport sys, lamp\nprint(sys.prefix, sys.argv[1:])\n")
    script.chmod(0o755)
    pod.env["PIP_FIND_LINKS"] = str(tmp_path / "wheels").replace(" ", "%20")
    assert make(pod, python, "lamp")["ok"]
    own = pod.root / "env" / DIGEST
    if form == "another Python":
        assert not (own / "bin" / "fit").exists()
        return
    command = f'PATH="$PATH:{python.parent}"; fit a "b c"'
    state = pod.wait(pod.shell(command, environment=DIGEST))
    assert state["last_lines"] == [f"{own} ['a', 'b c']"]


def test_pip_of_a_job_installs_into_its_environment(
    pod: AgentPod, bare_python: Path, tmp_path: Path
) -> None:
    assert make(pod, bare_python, "candle")["ok"]
    make_wheel(tmp_path / "wheels", "lamp", "1.0")
    command = (
        f"pip install --no-index --find-links {tmp_path}/wheels lamp && python -c 'import lamp'"
    )
    state = pod.wait(pod.shell(f'PATH="${{PATH%%:*}}"; {command}', environment=DIGEST))
    assert state["state"] == "SUCCEEDED", state["last_lines"]
    assert list((pod.root / "env" / DIGEST).glob("lib/*/site-packages/lamp.py"))
    assert not list(bare_python.parents[1].glob("lib/*/site-packages/lamp.py"))


@pytest.mark.parametrize("name", ["", "UV_PROJECT", "UV_WORKING_DIR"])
def test_uv_adds_what_the_base_lacks_and_nothing_that_it_has(
    with_uv: AgentPod, bare_python: Path, name: str
) -> None:
    if name:  # of the pod's shell
        with_uv.env[name] = "/no/such/folder"
    words = ("environment", DIGEST, "--python", str(bare_python))
    answer = with_uv.ask(*words, stdin="candle>=2\nlamp\n")
    assert answer["ok"], answer
    versions = {name: answer["packages"][name] for name in ("lamp", "candle", "wick")}
    assert versions == {"lamp": "1.0", "candle": "2.5", "wick": "2.5"}
    assert (with_uv.root / "cache" / "uv").is_dir()


@pytest.mark.parametrize(
    ("requirements", "env"),
    [
        ("candle>=2.6\nlamp\n", {}),  # what the base has does not do
        ("lamp\n", {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}),  # pip has an index of its own
    ],
)
def test_where_uv_would_not_do_pip_is_asked(
    with_uv: AgentPod, bare_python: Path, requirements: str, env: dict[str, str]
) -> None:
    with_uv.env.update(env)
    answer = with_uv.ask("environment", DIGEST, "--python", str(bare_python), stdin=requirements)
    assert answer["message"].startswith("installing packages failed: ERROR: No matching")
    assert with_uv.ask("probe")["environments"] == []


def test_a_python_that_is_not_there_is_one_line(pod: AgentPod) -> None:
    answer = make(pod, Path("/no/such/python"), "candle\n")
    assert answer["message"] == "/no/such/python: No such file or directory"


@pytest.mark.parametrize("by", ["pip", "uv"])
def test_packages_that_lie_in_the_code_are_installed(
    with_uv: AgentPod, bare_python: Path, by: str
) -> None:
    """Where something is missing beside them uv is asked, else pip without a network."""
    make_wheel(with_uv.root / "code" / DIGEST / "my libs", "glow", "1.0", needs="wick>=2")
    name = "my libs/glow-1.0-py3-none-any.whl"
    listed = "glow @ ${MOOLA_CODE}/my%20libs/glow-1.0-py3-none-any.whl\n"
    listed += "lamp\n" if by == "uv" else ""
    asked = {"requirements": listed, "files": {name: "0" * 64}, "code": DIGEST}
    words = ("environment", DIGEST, "--python", str(bare_python))
    answer = with_uv.ask(*words, stdin=asked)
    assert answer["ok"], answer
    versions = {name: answer["packages"].get(name) for name in ("glow", "lamp", "wick")}
    assert versions == {"glow": "1.0", "lamp": "1.0" if by == "uv" else None, "wick": "2.5"}
    installed = {path.name for path in (with_uv.root / "env" / DIGEST).rglob("glow*")}
    assert "glow.py" in installed
    assert not [name for name in installed if name.endswith(".pyc")]


def test_a_package_that_the_code_lacks_is_one_line(pod: AgentPod, bare_python: Path) -> None:
    asked = {"requirements": "", "files": {"libs/x.whl": "0" * 64}, "code": DIGEST}
    answer = pod.ask("environment", DIGEST, "--python", str(bare_python), stdin=asked)
    assert answer["message"] == f"code {DIGEST}: no such file: libs/x.whl"
    assert pod.ask("probe")["environments"] == []
