"""Packages that lie in the project: wheels, archives and folders of them that its lists name."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from moola_remote.config.settings import Project
from moola_remote.config.typed import typed
from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.dependencies import read_dependencies, reader_of
from moola_remote.deploy.local_paths import parse_local
from moola_remote.deploy.snapshot import code_tree
from moola_remote.deploy.uv_lock import find_uv
from moola_remote.errors import ConfigError
from tests.support.declarations import declared, refused
from tests.support.package_index import make_wheel

WHEEL = "lamp-1.0-py3-none-any.whl"
SHA = hashlib.sha256(b"built").hexdigest()


def bundled(folder: Path, text: str, *files: str, name: str = "requirements.txt") -> Dependencies:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"built")
    return declared(folder, {name: text})


@pytest.mark.parametrize(
    ("line", "there"),
    [
        (f"./libs/{WHEEL}", f"lamp @ ${{MOOLA_CODE}}/libs/{WHEEL}"),
        (f"libs/{WHEEL}  # ours", f"lamp @ ${{MOOLA_CODE}}/libs/{WHEEL}"),
        (f"./libs/{WHEEL}[fast]", f"lamp[fast] @ ${{MOOLA_CODE}}/libs/{WHEEL}"),
        (f"file:libs/{WHEEL}#sha256=ab", f"lamp @ ${{MOOLA_CODE}}/libs/{WHEEL}#sha256=ab"),
        (f"lamp[fast] @ file:./libs/{WHEEL}", f"lamp[fast] @ ${{MOOLA_CODE}}/libs/{WHEEL}"),
        (f"lamp @ ./libs/{WHEEL}", f"lamp @ ${{MOOLA_CODE}}/libs/{WHEEL}"),
        (
            f"lamp @ file:///${{PROJECT_ROOT}}/libs/{WHEEL} ; python_version > '3'",
            f"lamp @ ${{MOOLA_CODE}}/libs/{WHEEL} ; python_version > '3'",
        ),
        (
            f"./libs/{WHEEL} \\\n    --hash=sha256:ab \\\n    --hash=sha256:cd",
            f"lamp @ ${{MOOLA_CODE}}/libs/{WHEEL} --hash=sha256:ab --hash=sha256:cd",
        ),
    ],
)
def test_a_wheel_of_the_project_is_named_as_the_pod_finds_it(
    tmp_path: Path, line: str, there: str
) -> None:
    found = bundled(tmp_path, f"six\n{line}\nnumpy\n", f"libs/{WHEEL}")
    assert found.requirements.splitlines() == ["six", there, "numpy"]
    assert found.files == {f"libs/{WHEEL}": SHA}
    assert found.notes == ()


def test_an_absolute_path_into_the_project_is_one(tmp_path: Path) -> None:
    found = bundled(tmp_path, f"lamp @ file://{tmp_path}/my%20libs/{WHEEL}\n", f"my libs/{WHEEL}")
    assert found.requirements == f"lamp @ ${{MOOLA_CODE}}/my%20libs/{WHEEL}\n"
    assert list(found.files) == [f"my libs/{WHEEL}"]


@pytest.mark.parametrize(
    ("archive", "there"),
    [
        ("lamp-1.0.tar.gz", "lamp @ ${MOOLA_CODE}/libs/lamp-1.0.tar.gz"),
        ("lamp_post-1.0rc1.zip", "lamp_post @ ${MOOLA_CODE}/libs/lamp_post-1.0rc1.zip"),
        ("main.zip", "${MOOLA_CODE}/libs/main.zip"),
    ],
)
def test_an_archive_of_source_is_named_as_well(tmp_path: Path, archive: str, there: str) -> None:
    found = bundled(tmp_path, f"./libs/{archive}\n", f"libs/{archive}")
    assert found.requirements == f"{there}\n"


def test_lists_in_folders_mean_what_lies_beside_them_or_in_the_project(tmp_path: Path) -> None:
    """Pip takes a path from where it is run, uv from the list: what is there decides."""
    text = "-r more/base.txt\n-c more/bounds.txt\n--find-links wheels\n"
    declared(
        tmp_path,
        {
            "more/base.txt": f"./beside/{WHEEL}\n./libs/{WHEEL}\n../libs/{WHEEL}\n",
            "more/bounds.txt": f"lamp @ file:libs/{WHEEL}\n-f ../wheels\n",
            "wheels/readme.txt": "no package\n",
        },
    )
    found = bundled(
        tmp_path, text, f"more/beside/{WHEEL}", f"libs/{WHEEL}", "wheels/a-1.tar.gz", "wheels/b.txt"
    )
    lamp = f"lamp @ ${{MOOLA_CODE}}/libs/{WHEEL}"
    assert found.requirements.splitlines() == [
        f"lamp @ ${{MOOLA_CODE}}/more/beside/{WHEEL}",
        lamp,
        lamp,
        "--find-links ${MOOLA_CODE}/wheels",
    ]
    assert found.constraints.splitlines() == [lamp, "--find-links ${MOOLA_CODE}/wheels"]
    assert set(found.files) == {f"more/beside/{WHEEL}", f"libs/{WHEEL}", "wheels/a-1.tar.gz"}


def test_a_pyproject_names_them_too(tmp_path: Path) -> None:
    text = f"""
[project]
name = "mine"
version = "0"
dependencies = ["lamp[fast]>=1 ; python_version > '3'", "wick @ {{root:uri}}/libs/wick-2.tar.gz"]
[tool.uv.sources]
Lamp = {{ path = "libs/{WHEEL}" }}
"""
    found = bundled(tmp_path, text, f"libs/{WHEEL}", "libs/wick-2.tar.gz", name="pyproject.toml")
    assert found.requirements.splitlines() == [
        f"lamp[fast] @ ${{MOOLA_CODE}}/libs/{WHEEL} ; python_version > '3'",
        "wick @ ${MOOLA_CODE}/libs/wick-2.tar.gz",
    ]
    assert set(found.files) == {f"libs/{WHEEL}", "libs/wick-2.tar.gz"}


def test_a_source_for_uv_alone_is_said(tmp_path: Path) -> None:
    text = (
        '[project]\nname = "mine"\nversion = "0"\ndependencies = ["lamp"]\n'
        '[tool.uv.sources]\nlamp = { git = "https://example.org/lamp" }\n'
    )
    (note,) = bundled(tmp_path, text, name="pyproject.toml").notes
    assert "uv lock, and name uv.lock as `requirements`" in note


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"./libs/{WHEEL}", f"no such file, expected libs/{WHEEL} in the project; build it there"),
        (f"../libs/{WHEEL}", "outside of the project, so it is not sent; move it into"),
        ("-e ../lib", "outside of the project"),
        ("--find-links ../wheels", "outside of the project"),
        ("./a.whl", "not a wheel's name, expected NAME-VERSION-TAGS.whl; give it the name"),
        ("lamp @ file:../lamp-1.0.zip", "outside of the project"),
        ("lamp @ file:///croot/lamp_16/work", "built it for conda; in its environment: pip list"),
    ],
)
def test_what_can_not_be_sent_is_one_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.whl").write_bytes(b"built")
    assert said in refused(tmp_path / "mine", {"requirements.txt": f"six\n{line}\n"})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"/shared/{WHEEL}", "the pod needs it at that path; or move it into the project"),
        (f"lamp @ file:///shared/{WHEEL}", "the pod needs it at that path"),
        ("-e /shared/lib", "the pod needs it at that path"),
        ("--find-links /shared/wheels", "the pod needs it at that path"),
        ("--find-links wheels", "no packages there; left out"),
        ("--index-url ./simple", "an index in a folder is not sent"),
    ],
)
def test_what_may_be_missed_is_said(tmp_path: Path, line: str, said: str) -> None:
    found = bundled(tmp_path, f"{line}\n")
    assert [said in note for note in found.notes] == [True]
    assert found.requirements == ("" if "left out" in said else f"{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        "numpy>=1.0,<2 ; python_version < '3.9'",
        "lamp @ https://example.org/lamp-1.0.zip",
        "git+https://example.org/lamp.git@main#egg=lamp",
        "https://example.org/lamp-1.0-py3-none-any.whl",
        "-f https://example.org/wheels.html",
        "--index-url https://example.org/simple",
        "--extra-index-url=${INDEX}/simple",
        "--find-links ${WHEELS}",
        "lamp @ ${WHERE}/lamp-1.0.zip",
        "--no-index",
        "numpy==1 --hash=sha256:ab/cd",
        "-r other.txt",
        "",
    ],
)
def test_what_names_no_path_stays_as_it_is(line: str) -> None:
    assert parse_local(line) is None


@pytest.mark.process
def test_they_are_sent_although_git_ignores_them(tmp_path: Path) -> None:
    from tests.remote.deploy.test_selection import _git

    _git(tmp_path, "init", "-q")
    files = {"requirements.txt": f"dist/{WHEEL}\n", ".gitignore": "dist/\n", "a.py": ""}
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / WHEEL).write_bytes(b"built")
    (tmp_path / "dist" / "other").write_bytes(b"junk")
    found = declared(tmp_path, files)
    tree = code_tree(tmp_path, also=found.files, limit=100)
    assert [file.path for file in tree.files] == [
        *(".gitignore", "a.py", f"dist/{WHEEL}", "requirements.txt"),
    ]


def test_another_content_is_another_environment(tmp_path: Path) -> None:
    first = bundled(tmp_path, f"libs/{WHEEL}\n", f"libs/{WHEEL}")
    (tmp_path / "libs" / WHEEL).write_bytes(b"again")
    second = read_dependencies(typed(Project, {"folder": tmp_path}), reader_of(tmp_path))
    assert first.requirements == second.requirements
    assert first.digest("3.11") != second.digest("3.11")


def test_what_stands_for_a_file_is_no_package(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n"
    files = {"requirements.txt": f"libs/{WHEEL}\n", f"libs/{WHEEL}": pointer}
    assert "git lfs pull" in refused(tmp_path, files)
    (tmp_path / "libs" / WHEEL).unlink()
    (tmp_path / "libs" / "x").write_bytes(b"built")
    (tmp_path / "libs" / WHEEL).symlink_to("x")
    assert "a link, expected a file" in refused(tmp_path, files={})
    with pytest.raises(ConfigError):
        reader_of(tmp_path).sha256(Path("gone"))  # type: ignore[arg-type]


@pytest.mark.process
def test_a_lock_of_uv_names_them_with_their_hashes(tmp_path: Path) -> None:
    uv = find_uv()
    if uv is None:
        pytest.skip("no uv here: pip install uv")
    make_wheel(tmp_path / "libs", "lamp", "1.0")
    make_wheel(tmp_path / "wheels", "wick", "2.0")
    text = f"""
[project]
name = "mine"
version = "0"
requires-python = ">=3.10"
dependencies = ["lamp", "wick"]
[tool.uv]
no-index = true
find-links = ["wheels"]
[tool.uv.sources]
lamp = {{ path = "libs/{WHEEL}" }}
"""
    (tmp_path / "pyproject.toml").write_text(text)
    subprocess.run([uv, "lock", "--quiet"], cwd=tmp_path, check=True)
    found = declared(tmp_path, {})
    assert found.source == "uv.lock"
    assert found.requirements.split() == [
        *("--find-links", "${MOOLA_CODE}/wheels"),
        *("lamp", "@", f"${{MOOLA_CODE}}/libs/{WHEEL}", "wick==2.0"),
    ]
    assert set(found.files) == {f"libs/{WHEEL}", "wheels/wick-2.0-py3-none-any.whl"}
