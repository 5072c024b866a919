"""Where a project's own packages are imported from: as its build would have found them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.declarations import declared

BUILD = "[build-system]\nrequires = []\n"
SETTINGS = "[options]\npackages = find:\npackage_dir =\n    = lib\n"


@pytest.mark.parametrize(
    ("name", "text", "paths"),
    [
        ("pyproject.toml", BUILD, ("src", ".")),
        ("pyproject.toml", "[project]\nname = 'a'\n", ()),
        (
            "pyproject.toml",
            BUILD + "[tool.setuptools.packages.find]\nwhere = ['lib']\n",
            ("lib", "."),
        ),
        ("pyproject.toml", BUILD + "[tool.setuptools]\npackage-dir = {'' = 'lib'}\n", ("lib", ".")),
        (
            "pyproject.toml",
            BUILD + "[tool.setuptools]\npackage-dir = {'a' = 'lib'}\n",
            ("src", "."),
        ),
        (
            "pyproject.toml",
            BUILD + "[tool.poetry]\npackages = [{include = 'a'}, {include = 'b', from = 'lib'}]\n",
            ("lib", "."),
        ),
        (
            "pyproject.toml",
            BUILD + "[tool.hatch.build.targets.wheel]\npackages = ['a', 'lib/b']\n",
            (".", "lib"),
        ),
        ("pyproject.toml", BUILD + "[tool.hatch.build]\nsources = ['lib']\n", ("lib", ".")),
        ("pyproject.toml", BUILD + "[tool.pdm.build]\npackage-dir = 'lib'\n", ("lib", ".")),
        ("pyproject.toml", BUILD + "[tool.uv.build-backend]\nmodule-root = 'lib'\n", ("lib", ".")),
        ("pyproject.toml", BUILD + "[tool.uv.build-backend]\nmodule-root = ''\n", ("src", ".")),
        ("pyproject.toml", BUILD + "[tool.maturin]\npython-source = 'python'\n", ("python", ".")),
        (
            "pyproject.toml",
            BUILD + "[tool.scikit-build]\nwheel.packages = ['python/a']\n",
            ("python", "."),
        ),
        ("pyproject.toml", BUILD + "[tool.maturin]\npython-source = '../x'\n", ("src", ".")),
        ("pyproject.toml", BUILD + "[tool.maturin]\npython-source = '/x'\n", ("src", ".")),
        ("pyproject.toml", BUILD + "[tool]\nsetuptools = 3\n", ("src", ".")),
        ("setup.py", "setup(name='a')\n", ("src", ".")),
        (
            "setup.py",
            "setup(package_dir={'': 'lib'}, packages=find_packages('lib'))\n",
            ("lib", "."),
        ),
        ("setup.py", 'setup(packages=find_packages(where="lib"))\n', ("lib", ".")),
        ("setup.cfg", SETTINGS, ("lib", ".")),
        ("setup.cfg", "[options.packages.find]\nwhere = lib\n[options]\n", ("lib", ".")),
        ("setup.cfg", "[flake8]\nmax-line-length = 100\n", ()),
        ("setup.cfg", "no settings\n", ()),
        ("requirements.txt", "six\n", ()),
    ],
)
def test_packages_are_found_where_the_build_looks(
    tmp_path: Path, name: str, text: str, paths: tuple[str, ...]
) -> None:
    assert declared(tmp_path, {name: text}).paths == paths


@pytest.mark.parametrize("name", ["setup.py", "pyproject.toml"])
def test_a_folder_that_a_list_has_installed_is_looked_at_likewise(
    tmp_path: Path, name: str
) -> None:
    text = "setup(package_dir={'': 'lib'})\n" if name == "setup.py" else ""
    files = {"requirements.txt": "-e ./libs/a\n", f"libs/a/{name}": text}
    place = "lib" if text else "src"
    assert declared(tmp_path, files).paths == (f"libs/a/{place}", "libs/a")
