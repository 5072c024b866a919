"""The wheel: what a laptop needs travels in it, and it works where there is no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.report.made import make_run

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
PACKAGES = ("moola_core", "moola_remote", "jobs")
REPORT = """
import moola_remote
from moola_remote.cli import main
print(moola_remote.__file__)
main(["report"])
"""
BUILD = "from setuptools import build_meta; build_meta.build_wheel('.')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """Built of a copy, as the build writes beside its sources."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "tests/requirements.txt"):
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-c", BUILD], cwd=source, check=True, capture_output=True)
    return ZipFile(next(source.glob("*.whl")))


def test_each_file_of_the_packages_travels(wheel: ZipFile) -> None:
    here = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"moola_remote/agent/__main__.py", "moola_remote/report/page/echarts.min.js"} <= here
    assert here - set(wheel.namelist()) == set()


def test_torch_is_asked_for_by_the_job_alone(wheel: ZipFile) -> None:
    folder = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    lines = wheel.read(folder).decode().splitlines()
    asked = [line for line in lines if line.startswith("Requires-Dist: torch")]
    assert asked
    assert all(line.endswith('extra == "job"') for line in asked)


def test_an_unpacked_wheel_writes_a_page_where_there_is_no_torch(
    wheel: ZipFile, tmp_path: Path
) -> None:
    packages, project = tmp_path / "packages", tmp_path / "project"
    wheel.extractall(packages)
    for name in ("torch", "numpy", "moola_core"):
        (packages / f"{name}.py").write_text("raise ImportError('not on this laptop')\n")
    shutil.rmtree(packages / "moola_core")
    run = make_run(project / "results" / "20260101-000000-jade-abcd", num_windows=3)
    (project / "pyproject.toml").write_text("[tool.moola-remote]\n")
    environment = {**os.environ, "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", REPORT],
        cwd=project, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    source, page = done.stdout.splitlines()
    assert source == str(packages / "moola_remote" / "__init__.py")
    assert page == str(run / "report.html")
