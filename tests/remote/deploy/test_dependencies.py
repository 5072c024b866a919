"""What a project declares: read from each of its files, whole in itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.undeclared import undeclared_by
from tests.support.declarations import declared, refused

PYPROJECT = """
[project]
name = "Two_Towers"
version = "0"
requires-python = ">=3.10"
dependencies = ["numpy>=1"]
[project.optional-dependencies]
train = ["tqdm", "two-towers[plots]"]
plots = ["matplotlib"]
[dependency-groups]
gpu = [{include-group = "speed"}, "triton"]
speed = ["numba"]
[build-system]
requires = ["setuptools"]
"""


def test_a_folder_without_a_declaration_needs_nothing(tmp_path: Path) -> None:
    assert declared(tmp_path, {"train.py": ""}) == Dependencies()


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["requirements.txt", "pyproject.toml", "jobs/requirements.txt"], "jobs/requirements.txt"),
        (["requirements.txt", "pyproject.toml"], "pyproject.toml"),
        (["requirements.txt"], "requirements.txt"),
    ],
)
def test_the_most_specific_file_is_taken(tmp_path: Path, names: list[str], taken: str) -> None:
    found = declared(tmp_path, {name: PYPROJECT if "toml" in name else "six\n" for name in names})
    assert found.source == taken


def test_a_pyproject_that_only_configures_tools_declares_nothing(tmp_path: Path) -> None:
    files = {"pyproject.toml": "[tool.ruff]\nline-length = 100\n", "requirements.txt": "six\n"}
    assert declared(tmp_path, files).source == "requirements.txt"


def test_what_a_list_includes_is_read_into_it(tmp_path: Path) -> None:
    found = declared(
        tmp_path,
        {
            "requirements.txt": "-r more/base.txt\n-c bounds.txt\nsix  # small\n"
            "-e .[train]\n./pkg/\n",
            "more/base.txt": "--requirement=../last.txt\nnumpy\n",
            "last.txt": "tqdm @ https://example.org/tqdm.whl\n",
            "bounds.txt": "numpy<3\n",
        },
    )
    assert found.requirements.splitlines() == [
        "tqdm @ https://example.org/tqdm.whl",
        "numpy",
        "six  # small",
    ]
    assert found.constraints == "numpy<3\n"
    assert [note.partition(": ")[2].partition(":")[0] for note in found.notes] == [
        "-e .[train]",
        "./pkg/",
    ]


def test_a_list_that_installs_the_project_takes_what_the_project_needs(tmp_path: Path) -> None:
    """As at home, where ``pip install -r`` reads its pyproject.toml."""
    library = '[project]\nname = "lib"\nversion = "0"\ndependencies = ["tqdm"]\n'
    files = {
        "requirements.txt": "six\n-e .[train]\n-e ./libs/lib\nfile:vendor/\n",
        "pyproject.toml": PYPROJECT,
        "libs/lib/pyproject.toml": library,
        "vendor/setup.py": "",
    }
    found = declared(tmp_path, files, requirements="requirements.txt")
    assert found.requirements.split() == ["six", "numpy>=1", "tqdm", "matplotlib", "tqdm"]
    assert found.paths == ("src", ".", "libs/lib/src", "libs/lib", "vendor/src", "vendor")


def test_what_an_installed_folder_declares_in_another_form_is_left_out_and_said(
    tmp_path: Path,
) -> None:
    files = {
        "requirements.txt": "six\n-e .[no]\n-e ./old\n",
        "pyproject.toml": PYPROJECT,
        "old/pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.10"\n',
    }
    found = declared(tmp_path, files, requirements="requirements.txt")
    assert found.requirements == "six\n"
    said = [note for note in found.notes if "what it needs is left out" in note]
    assert ["extra 'no': unknown" in said[0], "Poetry" in said[1]] == [True, True]


@pytest.mark.parametrize(
    ("name", "text", "cure"),
    [
        ("environment.yml", "dependencies: [numpy]\n", "pip list"),
        ("conda.yaml", "dependencies: [numpy]\n", "pip list"),
        ("Pipfile", "[packages]\n", "pipenv"),
        ("poetry.lock", "", "poetry export"),
        ("pdm.lock", "", "pdm export"),
        ("setup.py", "setup(install_requires=['six'])\n", "requirements.txt"),
        ("setup.cfg", "[options]\ninstall_requires =\n  six\n", "requirements.txt"),
        ("requirements/base.txt", "six\n", "in [tool.moola-remote] or moola-remote.toml"),
        ("pyproject.toml", "[tool.flit.metadata]\nrequires = ['six']\n", "[project]"),
        ("pyproject.toml", "[tool.pixi.dependencies]\nnumpy = '*'\n", "pip list"),
        ("pyproject.toml", "[tool.pixi.feature.a.pypi-dependencies]\nsix = '*'\n", "pip list"),
        (
            "pyproject.toml",
            "[tool.hatch.envs.default]\npython = '3.11'\ndependencies = [\n  'six',\n]\n",
            "hatch dep show requirements",
        ),
    ],
)
def test_a_declaration_that_is_not_read_is_said_with_the_way_out(
    tmp_path: Path, name: str, text: str, cure: str
) -> None:
    found = declared(tmp_path, {name: text})
    assert (found.source, found.requirements) == ("", "")
    (note,) = found.notes
    assert note.startswith(f"{name}: its packages are not installed")
    assert cure in note


def test_a_scripts_own_list_is_said_with_the_way_out(tmp_path: Path) -> None:
    block = '# /// script\n# requires-python = ">=3.9"\n# dependencies = ["six"]\n# ///\n'
    (tmp_path / "train.py").write_bytes(b"#!/usr/bin/env python\n# caf\xe9\n" + block.encode())
    note = undeclared_by(tmp_path, "train.py")
    assert note.startswith("train.py: the packages that it declares in itself")
    assert note.endswith("uv export --script train.py -o requirements.txt")
    (tmp_path / "plain.py").write_text("# dependencies = 3\n")
    assert [undeclared_by(tmp_path, name) for name in ("plain.py", "missing.py")] == ["", ""]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("setup.py", "setup(ext_modules=[Extension('a._c', ['a/_c.c'])])\n"),
        ("setup.py", "from Cython.Build import cythonize\nsetup(**options)\n"),
        ("setup.py", "setup(\n    cffi_modules=['build.py:ffi'])\n"),
        ("pyproject.toml", '[build-system]\nrequires = []\nbuild-backend = "maturin"\n'),
        ("pyproject.toml", "[build-system]\nbuild-backend = 'scikit_build_core.build'\n"),
        ("pyproject.toml", "[[tool.setuptools.ext-modules]]\nname = 'a._c'\n"),
        ("pyproject.toml", "[tool.setuptools]\next-modules = [{name = 'a._c'}]\n"),
    ],
)
def test_compiled_modules_of_the_project_are_said_with_the_way_out(
    tmp_path: Path, name: str, text: str
) -> None:
    (note,) = declared(tmp_path, {name: text, "requirements.txt": "six\n"}).notes
    assert note.startswith(f"{name}: its compiled modules are not built on the pod; pip wheel")


def test_a_build_without_compiled_modules_is_not_said(tmp_path: Path) -> None:
    files = {"setup.py": "# no ext_modules\nsetup()\n", "pyproject.toml": PYPROJECT}
    assert declared(tmp_path, files).notes == ()


@pytest.mark.parametrize("line", ["./wheels/{}", "two-towers @ file:wheels/{}", "{}"])
def test_the_projects_own_wheel_stands_for_its_sources(tmp_path: Path, line: str) -> None:
    wheel = "Two.Towers-0-cp311-cp311-linux_x86_64.whl"
    listed = line.format(wheel)
    if line == "{}":
        listed = "--find-links wheels\ntwo-towers"
    files = {
        "pyproject.toml": f"{PYPROJECT}build-backend = 'mesonpy'\n",
        "setup.py": "setup(ext_modules=[])\n",
        "requirements.txt": f"{listed}\n",
        f"wheels/{wheel}": "PK",
    }
    project = {"requirements": "requirements.txt"}
    found = declared(tmp_path, files, **project)
    assert (found.paths, found.notes) == ((), ())
    files["requirements.txt"] = "six\n"
    assert declared(tmp_path, files, **project).paths == ("src", ".")


def test_files_that_configure_tools_alone_declare_nothing(tmp_path: Path) -> None:
    files = {"setup.cfg": "[flake8]\nmax-line-length = 100\n", "setup.py": "setup()\n"}
    assert declared(tmp_path, files).notes == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_list_that_windows_has_saved_is_read(tmp_path: Path, encoding: str) -> None:
    content = "-r b.txt\r\nsix\r\n".encode(encoding)
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    (tmp_path / "requirements.txt").write_bytes(mark + content)
    (tmp_path / "b.txt").write_bytes("numpy\r\n".encode("utf-8-sig"))
    assert declared(tmp_path, {}).requirements == "numpy\nsix\n"


def test_a_list_in_latin_1_is_one_line_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"# caf\xe9\nsix\n")
    assert "not UTF-8 text at byte 5; save it as UTF-8" in refused(tmp_path, {})


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"requirements.txt": "-r other.txt\n"}, "requirements.txt: other.txt: can't be read"),
        ({"requirements.txt": "-r requirements.txt\n"}, "includes itself"),
        ({"requirements.txt": "-r ../../etc/passwd\n"}, "outside of the project"),
        ({"requirements.txt": "-r other.txt\n"}, "[tool.moola-remote] or moola-remote.toml"),
    ],
)
def test_an_include_that_leads_nowhere_is_one_line(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    assert said in refused(tmp_path, files)


def test_extras_and_groups_are_taken_with_what_they_include(tmp_path: Path) -> None:
    found = declared(tmp_path, {"pyproject.toml": PYPROJECT}, extras=["train"], groups=["gpu"])
    assert found.requirements.split() == ["numpy>=1", "tqdm", "matplotlib", "numba", "triton"]
    assert found.source == "pyproject.toml (extra train, group gpu)"
    assert found.paths == ("src", ".")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"extras": ["trian"]}, "extra 'trian': unknown, expected one of train, plots; did you "),
        ({"groups": ["dev"]}, "group 'dev': unknown, expected one of gpu, speed"),
        ({"groups": ["dev"]}, "`groups` in [tool.moola-remote] or moola-remote.toml"),
    ],
)
def test_an_unknown_extra_or_group_names_those_there_are(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    assert said in refused(tmp_path, {"pyproject.toml": PYPROJECT}, **settings)


def test_extras_of_a_plain_list_are_refused(tmp_path: Path) -> None:
    files = {"requirements.txt": "six\n"}
    assert "requirements.txt has no extras" in refused(tmp_path, files, extras=["train"])


def test_extras_where_nothing_declares_any_are_refused(tmp_path: Path) -> None:
    assert "the project has no groups" in refused(tmp_path, {"a.py": ""}, groups=["gpu"])


@pytest.mark.parametrize("path", ["../requirements.txt", "/etc/hostname", "a/../../b.txt"])
def test_a_list_outside_of_the_project_is_refused(tmp_path: Path, path: str) -> None:
    said = refused(tmp_path, {"a.py": ""}, requirements=path)
    assert "outside of the project" in said
    assert said.endswith("`requirements` in [tool.moola-remote] or moola-remote.toml")


def test_the_lists_that_setuptools_reads_are_read(tmp_path: Path) -> None:
    text = """
    [project]
    name = "x"
    dynamic = ["dependencies"]
    [tool.setuptools.dynamic]
    dependencies = { file = ["need.txt"] }
    """
    found = declared(tmp_path, {"pyproject.toml": text, "need.txt": "six\n"})
    assert found.requirements == "six\n"


def test_poetrys_own_table_names_the_way_out(tmp_path: Path) -> None:
    text = '[tool.poetry.dependencies]\npython = "^3.10"\ntorch = "^2"\n'
    assert "poetry export" in refused(tmp_path, {"pyproject.toml": text})


def test_a_constraint_file_holds_for_all(tmp_path: Path) -> None:
    files = {"requirements.txt": "six\n", "bounds.txt": "six<2\n"}
    found = declared(tmp_path, files, constraints="bounds.txt")
    assert found.constraints == "six<2\n"


def test_the_digest_of_a_plain_list_is_the_one_it_always_had(tmp_path: Path) -> None:
    found = declared(tmp_path, {"requirements.txt": "six\n"})
    assert found.digest("3.11.7") == "d6ecd54fd8d5892b"
    assert found.digest("3.11.7") != found.digest("3.12.0")
