"""The whole way of docs/own-project.md for projects that are not ours, on both SSH servers."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.deploy.uv_lock import find_uv
from moola_remote.ssh.endpoint import Endpoint
from tests.e2e.conftest import end_runs
from tests.support.lanes import HANGS_S
from tests.support.package_index import make_wheel
from tests.support.projects import PROGRAM, Project, pod_file

pytestmark = [pytest.mark.e2e, pytest.mark.process]


@pytest.fixture(params=["local", "host"])
def stranger(
    request: pytest.FixtureRequest,
    local_state: Path,
    local_pod: Endpoint,
    openssh_server: Endpoint,
    tmp_path: Path,
) -> Iterator[Project]:
    """An empty repository of somebody's; its pod is the built-in one, or the one of MOOLA_POD."""
    project = Project(tmp_path / "mine", local_state)
    project.folder.mkdir()
    project.git("init", "--quiet", "--initial-branch=main")
    endpoint = local_pod
    if request.param == "host":
        endpoint = openssh_server
        project.write("configs/pods/host.yaml", pod_file(endpoint))
        project.env["MOOLA_POD"] = "host"
    yield project
    end_runs(endpoint)


def fetched(project: Project, what: str = "results") -> Path:
    """The folder of the latest run, fetched."""
    return Path(project.ok("fetch", what).splitlines()[0])


def test_names_beyond_ascii_whatever_the_locale(stranger: Project) -> None:
    stranger.write("prüf €.py", "print('ran')")
    # What ASCII can't write; without these two Python takes UTF-8 for it.
    stranger.env |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with stranger.running(PROGRAM, "run", "--", "python", "prüf €.py") as process:
        said, error = process.communicate(timeout=HANGS_S)
    assert process.returncode == 0, error
    assert "ran" in said


def test_a_plain_torch_script(stranger: Project) -> None:
    stranger.write("requirements.txt", "torch\n")
    stranger.write(".gitignore", "data/\nresults/\n")
    stranger.write("data/points.txt", "1 2 3\n")
    stranger.write(
        "train.py",
        """\
        import argparse, os
        from pathlib import Path
        import torch
        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=float, default=0.1)
        lr = parser.parse_args().lr
        data = Path(os.environ.get("MOOLA_DATA_DIR", "."), "data", "points.txt")
        points = torch.tensor([float(word) for word in data.read_text().split()])
        weight = torch.zeros(1, requires_grad=True)
        for step in range(3):
            loss = ((weight * points - points) ** 2).mean()
            (gradient,) = torch.autograd.grad(loss, weight)
            weight = (weight - lr * gradient).detach().requires_grad_()
            print(f"step {step} loss {loss.item():.3f}")
        out = Path("outputs"); out.mkdir(exist_ok=True)
        (out / "weight.txt").write_text(f"{weight.item():.4f}")
        """,
    )
    stranger.git("add", ".")
    first = stranger.run("run", "--", "python", "train.py", "--lr", "0.05")
    assert first.returncode == 20, first.stderr
    assert "not sent, ignored by git and not named as data: data/ (0.0 kB)" in first.stderr
    assert "dependencies: requirements.txt" in first.stderr
    assert "data: data (data)" in stranger.run("init").stderr
    second = stranger.run("run", "--", "python", "train.py", "--lr", "0.05")
    assert second.returncode == 0, second.stderr
    assert "assumed" not in second.stderr
    assert second.stdout.splitlines()[-1].startswith("step 2 loss ")
    folder = fetched(stranger)
    assert re.fullmatch(r"\d{8}-\d{6}-train-lr0-05-[0-9a-f]{4}", folder.name)
    assert float((folder / "workdir" / "outputs" / "weight.txt").read_text()) > 0.5
    assert "torch" in json.loads((folder / "spec.json").read_text())["packages"]
    # The next run starts from the code alone.
    script = "ls *.py; mkdir outputs && echo more > outputs/mine.txt"
    assert stranger.ok("run", "--", "sh", "-c", script).splitlines()[-1] == "train.py"
    outputs = fetched(stranger) / "workdir" / "outputs"
    assert [path.name for path in outputs.iterdir()] == ["mine.txt"]


def test_a_project_whose_outputs_go_to_folders_of_its_own(stranger: Project) -> None:
    stranger.write(
        "pyproject.toml",
        """\
        [project]
        name = "forecast"
        version = "0"
        dependencies = ["PyYAML"]
        """,
    )
    stranger.write("conf/config.yaml", "lr: 0.1\nepochs: 2\n")
    # As Hydra and Lightning do it: a folder a start, a version a training, beside the code.
    stranger.write(
        "main.py",
        """\
        import os, sys, time
        from pathlib import Path
        import yaml
        settings = yaml.safe_load(Path("conf/config.yaml").read_text())
        settings.update(word.split("=") for word in sys.argv[1:])
        out = Path("outputs", time.strftime("%Y-%m-%d"), "08-00-00")
        out.mkdir(parents=True)
        (out / "config.yaml").write_text(yaml.safe_dump(settings))
        logs = Path("lightning_logs")
        logs.mkdir(exist_ok=True)
        version = logs / f"version_{len(os.listdir(logs))}"
        (version / "checkpoints").mkdir(parents=True)
        (version / "checkpoints" / "epoch=1-step=20.ckpt").write_text("weights")
        (version / "metrics.csv").write_text("epoch,loss\\n0,1.0\\n1,0.5\\n")
        print("settings", settings["lr"], Path.cwd().name)
        """,
    )
    stranger.write(".gitignore", "outputs/\nlightning_logs/\nresults/\n")
    for _ in range(2):
        done = stranger.run("run", "--", "python", "main.py", "lr=0.3")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "settings 0.3 workdir\n"
        folder = fetched(stranger, "all")
        assert "-main-lr0-3-" in folder.name
        (found,) = (folder / "workdir" / "outputs").glob("*/08-00-00/config.yaml")
        assert "lr: '0.3'" in found.read_text()
        version = folder / "workdir" / "lightning_logs" / "version_0"
        assert (version / "metrics.csv").read_text().endswith("1,0.5\n")
        assert (version / "checkpoints" / "epoch=1-step=20.ckpt").read_text() == "weights"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that stands for an index; this process' children look there alone."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "tinytorch", "1.0", code="def step(x):\n    return x / 2\n")
    make_wheel(folder, "tinytorch", "2.0", code="raise SystemExit('not the locked one')\n")
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    return folder


def test_a_package_with_a_lock(stranger: Project, wheels: Path) -> None:
    uv = find_uv()
    if uv is None:
        pytest.skip("no uv here: pip install uv")
    stranger.write(
        "pyproject.toml",
        f"""\
        [project]
        name = "fitter"
        version = "0"
        requires-python = ">=3.10"
        dependencies = []
        [project.optional-dependencies]
        fast = ["tinytorch<2"]
        [build-system]
        requires = ["setuptools"]
        build-backend = "setuptools.build_meta"
        [tool.uv]
        no-index = true
        find-links = ["{wheels}"]
        [tool.moola-remote]
        extras = ["fast"]
        """,
    )
    stranger.write("src/fitter/__init__.py", "")
    stranger.write("src/fitter/train.py", "import tinytorch\nprint('half', tinytorch.step(3.0))\n")
    with stranger.running(uv, "lock") as locking:
        _, err = locking.communicate(timeout=HANGS_S)
    assert locking.returncode == 0, err
    done = stranger.run("run", "--", "python", "-m", "fitter.train")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "half 1.5\n"
    run_id = stranger.json("runs")[-1]["run_id"]
    shown = stranger.json("runs", "show", run_id)[0]
    assert shown["spec"]["packages"]["tinytorch"] == "1.0"
    again = stranger.run("train", "--replay", run_id)
    assert again.returncode == 0, again.stderr
    assert "not as it was" not in again.stderr
    assert "uv.lock (extra fast)" in stranger.ok("deploy")


@pytest.mark.parametrize("stranger", ["host"], indirect=True)
def test_packages_that_lie_in_the_repository(stranger: Project, wheels: Path) -> None:
    """Built ones that git ignores, in lists that include each other; nothing else is asked for."""
    make_wheel(stranger.folder / "dist", "lamp", "1.0", code="VALUE = 1\n")
    (stranger.folder / "my wheels").mkdir()
    for wheel in wheels.iterdir():
        shutil.copy(wheel, stranger.folder / "my wheels")
    stranger.write(".gitignore", "dist/\n*.whl\nresults/\n")
    stranger.write("requirements.txt", "./dist/lamp-1.0-py3-none-any.whl\n-r more/other.txt\n")
    stranger.write("more/other.txt", '--no-index\n--find-links "../my wheels"\ntinytorch\n')
    stranger.write("more/bounds.txt", "tinytorch<2\n")
    with (stranger.folder / "requirements.txt").open("a") as listed:
        listed.write("-c more/bounds.txt\n")
    program = "import lamp, tinytorch; print(lamp.VALUE, tinytorch.step(3.0))"
    done = stranger.run("run", "--", "python", "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 1.5\n"
    run_id = stranger.json("runs")[-1]["run_id"]
    assert stranger.json("runs", "show", run_id)[0]["spec"]["packages"]["lamp"] == "1.0"
    again = stranger.run("train", "--replay", run_id)
    assert again.returncode == 0, again.stderr
    assert "not as it was" not in again.stderr
    make_wheel(stranger.folder / "dist", "lamp", "1.0", code="VALUE = 2\n")
    assert stranger.ok("run", "--", "python", "-c", program) == "2 1.5\n"
