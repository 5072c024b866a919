"""An environment's packages: over the pod's own torch, from lists, locks and bounds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent.downloads import Download, Progress, parse_lock, plan_by_uv, summary
from tests.remote.agent.test_environment import DIGEST
from tests.support.lanes import HANGS_S
from tests.support.package_index import make_wheel, serving
from tests.support.pods import AgentPod, make_bare_python

pytestmark = pytest.mark.process

# As much of torch as is asked for.
TORCH = """
__version__ = "9.9"
class version:
    cuda = None
class cuda:
    is_available = staticmethod(lambda: False)
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A pod's Python that has its own torch."""
    python = make_bare_python(tmp_path / "image")
    (info,) = (tmp_path / "image").glob("lib/python*/site-packages")
    (info / "torch.py").write_text(TORCH)
    (info / "torch-2.0.dist-info").mkdir()
    head = "Metadata-Version: 2.1\nName: torch\nVersion: 2.0\n"
    (info / "torch-2.0.dist-info" / "METADATA").write_text(head)
    return python


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """An index on loopback with `lamp` in two versions and torch 9.9."""
    for name, version, needs in (
        ("lamp", "1.0", ""),
        ("lamp", "2.0", ""),
        ("torch", "9.9", "lamp"),
        ("oil", "1.0", "torch>=1"),
    ):
        (tmp_path / "packages").mkdir(exist_ok=True)
        code = TORCH if name == "torch" else ""
        make_wheel(tmp_path / "packages" / name, name, version, needs, code)
    with serving(tmp_path) as host:
        yield f"http://{host}/packages"


def install(
    pod: AgentPod, python: Path, index: str, requirements: str, **asked: Any
) -> tuple[dict[str, Any], str]:
    """The agent's answer, and what it says on the way; `shell` is what an rc file sets."""
    shell: dict[str, str] = asked.pop("shell", {})
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    settings = {"PIP_INDEX_URL": index, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    done = subprocess.run(
        pod.argv("environment", DIGEST, "--python", str(python)),
        input=json.dumps({"requirements": requirements, **asked}).encode(),
        capture_output=True,
        check=False,
        env={**clean, **settings, **shell},
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer, done.stderr.decode()


def versions(answer: dict[str, Any], *names: str) -> list[str | None]:
    assert answer["ok"], answer
    return [answer["packages"].get(name) for name in names]


def test_the_images_torch_stays_and_it_is_said(pod: AgentPod, image: Path, index: str) -> None:
    answer, said = install(pod, image, index, "torch==9.9\nlamp\noil\n")
    assert versions(answer, "torch", "lamp", "oil") == ["2.0", "2.0", "1.0"]
    assert "note: the project asks for torch==9.9; the pod's own torch 2.0 stays" in said


def test_a_torch_that_fits_is_used_without_a_word(pod: AgentPod, image: Path, index: str) -> None:
    answer, said = install(pod, image, index, "torch>=1\nlamp==1.0\n")
    assert versions(answer, "torch", "lamp") == ["2.0", "1.0"]
    assert "note:" not in said


def test_the_projects_torch_replaces_it_where_that_is_asked(
    pod: AgentPod, image: Path, index: str
) -> None:
    answer, said = install(pod, image, index, "torch==9.9\n", torch="project")
    assert versions(answer, "torch", "lamp") == ["9.9", "2.0"]
    assert "note:" not in said


def test_a_pod_without_torch_gets_it_after_a_word_about_its_size(
    pod: AgentPod, bare_python: Path, index: str
) -> None:
    answer, said = install(pod, bare_python, index, "oil\n")
    assert versions(answer, "torch") == ["9.9"]
    warned = said.index("a large download of several GB: torch with CUDA's libraries; torch is not")
    assert "asked for by oil" in said[warned:].splitlines()[0]
    assert warned < said.index("Downloading", warned)


@pytest.mark.parametrize(
    "shell",
    [
        {"PIP_NO_DEPS": "1"},
        {"PIP_PYTHON": "{other}"},
        {"PIP_REQUIREMENT": "{tmp}/more.txt"},
        {"PIP_PYTHON_VERSION": "2.7"},
        {"PIP_IGNORE_INSTALLED": "1"},
        {"PIP_FORCE_REINSTALL": "1"},
        {"PYTHONWARNINGS": "error"},
        {"PIP_CONFIG_FILE": "{tmp}/pip.conf"},
    ],
    ids=lambda shell: next(iter(shell)),
)
def test_the_pods_shell_does_not_change_what_is_installed(
    pod: AgentPod, image: Path, index: str, tmp_path: Path, shell: dict[str, str]
) -> None:
    (tmp_path / "more.txt").write_text("lamp==1.0\n")
    (tmp_path / "pip.conf").write_text("[install]\nno-deps = true\nignore-installed = true\n")
    make_wheel(tmp_path / "packages" / "jug", "jug", "1.0", "mug")
    make_wheel(tmp_path / "packages" / "mug", "mug", "1.0")
    other = make_bare_python(tmp_path / "other")
    shell = {key: value.format(tmp=tmp_path, other=other) for key, value in shell.items()}
    answer, _ = install(pod, image, index, "jug\noil\n", shell=shell)
    assert versions(answer, "jug", "mug", "torch", "lamp") == ["1.0", "1.0", "2.0", None]
    assert (pod.root / "env" / DIGEST / "bin" / "python").exists()
    assert list((pod.root / "env" / DIGEST).glob("lib/*/site-packages/jug.py"))


@pytest.mark.parametrize("name", ["PIP_USER", "PIP_TARGET", "PIP_PREFIX", "pip.conf"])
def test_packages_go_into_the_environment_whatever_the_pods_shell_says(
    pod: AgentPod, bare_python: Path, index: str, tmp_path: Path, name: str
) -> None:
    """On a cluster's login node PIP_USER, or user = true in pip.conf, is usual."""
    config = tmp_path / "pip.conf"
    config.write_text("[install]\nuser = true\n")
    shell = {
        "PIP_USER": {"PIP_USER": "1"},
        "PIP_TARGET": {"PIP_TARGET": str(tmp_path / "elsewhere")},
        "PIP_PREFIX": {"PIP_PREFIX": str(tmp_path / "elsewhere"), "PYTHONINSPECT": "1"},
        "pip.conf": {"PIP_CONFIG_FILE": str(config)},
    }[name]
    answer, _ = install(pod, bare_python, index, "lamp\n", shell=shell)
    assert versions(answer, "lamp") == ["2.0"]
    assert not (tmp_path / "elsewhere").exists()


def test_bounds_hold_for_what_is_installed(pod: AgentPod, bare_python: Path, index: str) -> None:
    answer, _ = install(pod, bare_python, index, "lamp\n", constraints="lamp<2\n")
    assert versions(answer, "lamp") == ["1.0"]


def test_a_locked_list_is_all_that_is_installed(
    pod: AgentPod, bare_python: Path, image: Path, index: str
) -> None:
    asked = {"locked": True, "without_torch": "oil==1.0\n"}
    answer, _ = install(pod, image, index, "oil==1.0\ntorch==9.9\n", **asked)
    assert versions(answer, "torch", "oil", "lamp") == ["2.0", "1.0", None]
    answer, _ = install(pod, bare_python, index, "oil==1.0\ntorch==9.9\n", **asked)
    assert versions(answer, "torch", "oil", "lamp") == ["9.9", "1.0", None]


def test_what_is_not_an_object_is_refused(pod: AgentPod, bare_python: Path) -> None:
    for text in ("{", '{"requirements": 3}'):
        words = ("environment", DIGEST, "--python", str(bare_python))
        assert pod.ask(*words, stdin=text)["error"] == "bad_request"


def feed(lines: str, *, missing: tuple[str, ...] = ()) -> list[str]:
    said: list[str] = []
    with Progress(said.append, [], {}, list(missing)) as progress:
        for line in lines.splitlines():
            progress.feed(line)
            said.append(f"pip: {line.strip()}")
    return said


def test_pips_lines_are_added_up_and_a_gigabyte_is_announced_before_it_is_fetched() -> None:
    said = feed(
        "Collecting big (from -r /a/b/requirements.txt (line 3))\n"
        "  Downloading big-1.0-py3-none-any.whl.metadata (12 kB)\n"
        "Collecting cuda-stuff (from big)\n"
        "  Downloading cuda_stuff-13.0-py3-none-any.whl (900.5 MB)\n"
        "  Downloading big-1.0-py3-none-any.whl (212.0 MB)\n"
        "  Downloading more-1.0-py3-none-any.whl (912.0 MB)\n"
    )
    (warned,) = [line for line in said if line.startswith("a large download")]
    assert warned.startswith("a large download of 1.1 GB: big-1.0-py3-none-any.whl; big is not in ")
    assert "asked for by requirements.txt (line 3)" in warned
    assert (
        said.index(warned) == said.index("pip: Downloading big-1.0-py3-none-any.whl (212.0 MB)") - 1
    )


def test_what_uv_will_fetch_is_known_beforehand(tmp_path: Path) -> None:
    lock = """
lock-version = "1.0"

[[packages]]
name = "torch"
version = "2.15.0"
wheels = [{ url = "https://example.org/torch.whl", upload-time = 2026-10-28, size = 1539136850 }]

[[packages]]
name = "small"
version = "1"
sdist = { url = "https://example.org/small.tar.gz", size = 7 }
wheels = [
    { url = "https://example.org/small.whl", size = 2000000 },
]
"""
    planned = parse_lock(lock)
    assert planned == [Download("torch", "2.15.0", 1539136850), Download("small", "1", 2000000)]
    assert summary(planned) == "fetching 2 packages, 1.5 GB: torch 2.15.0 1.5 GB, small 1 2.0 MB"
    said: list[str] = []
    with Progress(said.append, planned, {"torch": "asked for by the list"}, []):
        pass
    assert said[0] == summary(planned)
    assert said[1].startswith("a large download of 1.5 GB: torch 2.15.0 and others; torch is not ")


def test_uv_itself_is_understood(tmp_path: Path, index: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("no uv here: pip install uv")
    listed = tmp_path / "list.txt"
    listed.write_text("lamp<2\n")
    cache = ["--cache-dir", str(tmp_path / "cache"), "--default-index", index]
    argv = [str(uv), "pip", "compile", "--python", sys.executable, *cache, str(listed)]
    (found,) = plan_by_uv(argv)
    assert (found.name, found.version) == ("lamp", "1.0")
    assert plan_by_uv(["/no/such/uv"]) == []


def test_how_far_it_is_is_said_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moola_remote.agent.downloads.EVERY_S", 0.02)
    counted = iter(range(0, 100_000_000, 5_000_000))
    monkeypatch.setattr("moola_remote.agent.downloads.received", lambda: next(counted, 10**8))
    said: list[str] = []
    arrived = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if re.match(r"fetched about \d+\.\d MB of 40.0 MB", line):
            arrived.set()

    with Progress(say, [Download("big", "1", 40_000_000)], {}, []):
        assert arrived.wait(HANGS_S)
    assert said[0] == "fetching 1 package, 40.0 MB: big 1 40.0 MB"


def test_what_has_all_arrived_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traffic goes on while packages are installed; the total that is capped stays the same."""
    monkeypatch.setattr("moola_remote.agent.downloads.EVERY_S", 0.001)
    done, calls = threading.Event(), iter(range(1_000_000))

    def received() -> int:
        call = next(calls)
        if call == 20:
            done.set()
        return call * 10_000_000

    monkeypatch.setattr("moola_remote.agent.downloads.received", received)
    said: list[str] = []
    with Progress(said.append, [Download("big", "1", 40_000_000)], {}, []):
        assert done.wait(HANGS_S)
    amounts = [line.split()[2] for line in said[1:]]
    assert amounts == ["10.0", "20.0", "30.0", "40.0"]
