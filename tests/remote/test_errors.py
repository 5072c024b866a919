"""What an error says to do where a package of an extra is missing."""

from __future__ import annotations

import sys
from importlib import metadata, util
from pathlib import Path

import pytest

from moola_remote.errors import install_extra, missing_package

DECLARED = ["click>=8", 'asyncssh>=2.17; extra == "local"', 'httpx>=0.27; extra == "runpod"']


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: DECLARED)


@pytest.mark.usefixtures("declared")
def test_packages_are_named_with_the_environment_they_are_missing_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert install_extra("local") == f"{sys.executable} -m pip install 'asyncssh>=2.17'"
    with monkeypatch.context() as patch:
        patch.setattr(util, "find_spec", lambda _: None)
        want = f"uv pip install --python {sys.executable} 'httpx>=0.27'"
        assert install_extra("runpod") == want
    (tmp_path / "pipx_metadata.json").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert install_extra("local") == "pipx inject moola 'asyncssh>=2.17'"


def test_the_name_of_the_whole_is_asked_of_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """On PyPI it is another project's."""

    def unknown(_: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", unknown)
    error = missing_package(ModuleNotFoundError("x", name="tenacity.wait"))
    assert str(error) == f"renting needs tenacity; {sys.executable} -m pip install httpx tenacity"
    assert missing_package(ModuleNotFoundError("x", name="torch")) is None


def test_a_table_of_any_kind_is_what_needs_pyarrow() -> None:
    """`export --to m.csv` is written by it, too."""
    error = missing_package(ModuleNotFoundError(name="pyarrow"))
    assert error is not None
    assert error.message == "a table needs pyarrow"
