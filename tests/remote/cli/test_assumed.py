"""What is checked of a command before anything is sent or rented."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.cli.assumed import check_sent
from moola_remote.deploy.snapshot import Tree, code_tree
from moola_remote.errors import ConfigError


@pytest.fixture
def code(tmp_path: Path) -> Tree:
    """A folder outside of git: two scripts, one by a link, and two that stay."""
    for name in ("train.py", "src/fit.py", "tools/run.sh", "scratch/try.py", ".env.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("print()\n")
    (tmp_path / "again").symlink_to("src")
    (tmp_path / ".gitignore").write_text("scratch/\n")
    return code_tree(tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        "python train.py",
        "python -u ./src/fit.py --config missing.py",
        "python again/fit.py",
        "bash tools/run.sh",
        "python -m missing",
        "python /opt/missing.py",
        "pytest",
    ],
)
def test_a_script_that_is_sent_is_nothing_to_report(
    code: Tree, tmp_path: Path, command: str
) -> None:
    check_sent(code, tmp_path, command.split())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python trian.py", r"trian\.py: no such file in .*; did you mean train\.py\?"),
        ("torchrun src/fitt.py", r"did you mean src/fit\.py\?"),
        ("./tools/rnu.sh", r"tools/rnu\.sh: no such file in .*did you mean tools/run\.sh\?"),
        ("python scratch/try.py", r"not among the code that is sent, ignored; .*\.gitignore"),
    ],
)
def test_a_script_that_stays_or_is_none_is_refused(
    code: Tree, tmp_path: Path, command: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        check_sent(code, tmp_path, command.split())
