"""A lock of uv's: exported by uv, with and without the image's torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.deploy.uv_lock import find_uv
from tests.support.declarations import declared, refused


@pytest.mark.process
def test_a_lock_is_what_uv_makes_of_it(tmp_path: Path) -> None:
    found = declared(tmp_path, locked(tmp_path), extras=["fast"])
    assert found.is_locked
    lines = [line.split()[0] for line in found.requirements.splitlines() if line[0].isalpha()]
    assert lines == ["iniconfig==2.0.0", "torch==2.4.0"]
    assert found.without_torch is not None
    assert "torch" not in found.without_torch
    assert "iniconfig==2.0.0" in found.without_torch
    assert found.source == "uv.lock (extra fast)"
    plain = declared(tmp_path, {})
    assert "torch" not in plain.requirements
    assert plain.digest("3.11") != found.digest("3.11")


@pytest.mark.process
def test_members_of_a_workspace_are_imported_from_where_they_are(tmp_path: Path) -> None:
    if find_uv() is None:
        pytest.skip("no uv here: pip install uv")
    member = '[project]\nname = "{}"\nversion = "0"\nrequires-python = ">=3.10"\n'
    files = {
        "pyproject.toml": f"{member.format('two')}dependencies = ['a', 'b']\n"
        "[tool.uv.workspace]\nmembers = ['packages/*']\n[tool.uv.sources]\n"
        "a = { workspace = true }\nb = { path = 'libs/b', editable = true }\n",
        "packages/a/pyproject.toml": member.format("a") + "[build-system]\nrequires = []\n",
        "libs/b/pyproject.toml": member.format("b") + "[build-system]\nrequires = []\n",
        "uv.lock": """
version = 1
requires-python = ">=3.10"
[manifest]
members = ["a", "two"]
[[package]]
name = "a"
version = "0"
source = { editable = "packages/a" }
[[package]]
name = "b"
version = "0"
source = { editable = "libs/b" }
[[package]]
name = "two"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "a" }, { name = "b" }]
""",
    }
    found = declared(tmp_path, files)
    assert found.requirements.strip() == ""
    assert found.paths == ("packages/a/src", "packages/a", "libs/b/src", "libs/b")


def test_a_lock_with_an_unknown_extra_is_one_line(tmp_path: Path) -> None:
    said = refused(tmp_path, locked(tmp_path), extras=["quick"])
    assert "extra 'quick': unknown, expected one of fast" in said


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UV_PROJECT", "{other}"),
        ("UV_WORKING_DIR", "{other}"),
        ("UV_WORKING_DIRECTORY", "{other}"),
        ("UV_NO_SOURCES", "1"),
        ("UV_HTTP_TIMEOUT", "soon"),
    ],
)
def test_the_users_settings_of_uv_lead_to_no_other_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    expected = declared(tmp_path / "here", locked(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text('[project]\nname = "o"\nversion = "0"\n')
    (other / "uv.lock").write_text("version = 1\nrequires-python = '>=3.10'\n")
    monkeypatch.setenv(name, value.format(other=other))
    assert declared(tmp_path / "here", {}) == expected


@pytest.mark.process
def test_a_lock_that_uv_can_not_read_is_one_line(tmp_path: Path) -> None:
    files = {**locked(tmp_path), "uv.lock": "version = 99\n"}
    assert "uv refuses it: " in refused(tmp_path, files)


def test_a_lock_without_uv_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moola_remote.deploy.uv_lock.find_uv", lambda: None)
    assert "pip install uv" in refused(tmp_path, locked(tmp_path))


def locked(folder: Path) -> dict[str, str]:
    """A project whose lock was written by hand: no index is asked."""
    if find_uv() is None:
        pytest.skip("no uv here: pip install uv")
    sha = f"sha256:{'0' * 64}"
    lock = f"""
version = 1
requires-python = ">=3.10"

[[package]]
name = "iniconfig"
version = "2.0.0"
source = {{ registry = "https://example.org/packages" }}
wheels = [
    {{ url = "https://example.org/iniconfig-2.0.0-py3-none-any.whl", hash = "{sha}" }},
]

[[package]]
name = "torch"
version = "2.4.0"
source = {{ registry = "https://example.org/packages" }}
wheels = [
    {{ url = "https://example.org/torch-2.4.0-py3-none-any.whl", hash = "{sha}" }},
]

[[package]]
name = "two"
version = "0"
source = {{ virtual = "." }}
dependencies = [
    {{ name = "iniconfig" }},
]

[package.optional-dependencies]
fast = [
    {{ name = "torch" }},
]

[package.metadata]
requires-dist = [
    {{ name = "iniconfig" }},
    {{ name = "torch", marker = "extra == 'fast'" }},
]
provides-extras = ["fast"]
"""
    pyproject = """
[project]
name = "two"
version = "0"
requires-python = ">=3.10"
dependencies = ["iniconfig"]
[project.optional-dependencies]
fast = ["torch"]
"""
    return {"uv.lock": lock, "pyproject.toml": pyproject}
