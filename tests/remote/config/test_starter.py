"""What `init` writes: TOML that we read again, added to what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.config.settings import find_project
from moola_remote.config.starter import Guess, starter, write_starter
from moola_remote.errors import ConfigError

GUESS = Guess(
    requirements="uv.lock",
    data={"train": "data/train", "a-b": 'odd "name"'},
    extras=["fast"],
    groups=["gpu"],
    has_recipes=True,
)


@pytest.mark.parametrize("guess", [Guess(), GUESS])
@pytest.mark.parametrize(
    "pyproject", [None, "", "[project]\nname = 'x'", "[tool.ruff]\r\na = 1\r\n"]
)
def test_what_is_written_is_read_again(tmp_path: Path, guess: Guess, pyproject: str | None) -> None:
    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_bytes(pyproject.encode())
    path = write_starter(tmp_path, guess)
    assert path.name == ("moola-remote.toml" if pyproject is None else "pyproject.toml")
    assert path.read_bytes().startswith((pyproject or "").encode())
    project = find_project(tmp_path)
    assert project.file == path
    assert project.requirements == (guess.requirements and Path(guess.requirements))
    assert project.data == {name: [Path(folder)] for name, folder in guess.data.items()}


def test_every_line_that_is_commented_out_can_be_taken(tmp_path: Path) -> None:
    head, *_ = starter(GUESS, is_own_file=True).partition("\n\n")
    lines = [line.removeprefix("# ") for line in head.splitlines()[1:]]
    (tmp_path / "moola-remote.toml").write_text("\n".join(lines), encoding="utf-8")
    project = find_project(tmp_path)
    assert {"extras", "groups", "constraints", "torch", "job", "recipe"} <= project.given
    assert project.extras == ["fast"]


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_pyproject_keeps_its_mode_and_the_link_that_leads_to_it(
    tmp_path: Path, mode: int
) -> None:
    real = tmp_path / "real.toml"
    real.write_text("# mine\n")
    real.chmod(mode)
    (tmp_path / "pyproject.toml").symlink_to(real)
    assert write_starter(tmp_path, GUESS) == tmp_path / "pyproject.toml"
    assert (tmp_path / "pyproject.toml").is_symlink()
    assert real.read_text().startswith("# mine\n\n# What")
    assert real.stat().st_mode & 0o777 == mode


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "moola-remote.toml").write_text("pod = 'local'\n")
    with pytest.raises(ConfigError, match="already exists"):
        write_starter(tmp_path, Guess())
    assert (tmp_path / "moola-remote.toml").read_text() == "pod = 'local'\n"
