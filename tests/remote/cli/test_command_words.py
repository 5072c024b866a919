"""What `run` and `sweep` are given to start: looked at here, before a pod is rented for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.cli.assumed import check_script
from moola_remote.cli.error_handler import run
from moola_remote.config import settings
from moola_remote.errors import ConfigError
from tests.support.projects import Project


@pytest.mark.parametrize(
    ("argv", "cure"),
    [
        (["python fit.py"], "run -- sh -c 'python fit.py'"),
        (["cd src && python fit.py", "--lr"], "run -- sh -c 'cd src && python fit.py'"),
        (["fit\t1"], "leave the quotes out"),
        (["LR=1 2", "python", "a b.py"], "run --env 'LR=1 2' -- python 'a b.py'"),
        (["LR="], "run --env LR= -- COMMAND"),
        (["LR={lr}", "python", "fit.py"], "sweep -- sh -c 'LR={lr} python fit.py'"),
        (["LR=1\n2", "python"], "run --env 'LR=1\n2' -- python"),
    ],
)
def test_a_line_of_a_shell_is_refused_before_a_pod_is_rented_for_it(
    tmp_path: Path, argv: list[str], cure: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_script(settings.Project(folder=tmp_path), argv, tmp_path)
    assert cure in caught.value.cure


def test_a_program_with_a_blank_in_its_name_is_one(tmp_path: Path) -> None:
    (tmp_path / "fit it").touch()
    for word in ("fit it", "./else where", "/opt/my tools/fit", "~/my fit", "./a=b"):
        check_script(settings.Project(folder=tmp_path), [word, "x"], tmp_path)


@pytest.mark.parametrize(
    ("word", "cure"),
    [
        ("fit.py", "run -- python fit.py"),
        ("src/fit.py", "run -- python src/fit.py"),
        ("./src/fit.sh", "run -- sh ./src/fit.sh"),
        (
            "all it.ipynb",
            "run -- jupyter nbconvert --to notebook --execute --inplace 'all it.ipynb'",
        ),
        ("src/words", "run -- sh src/words"),
        ("tool", ""),  # the pod may have a program of this name
        ("./tool", ""),
        ("src/run.py", ""),
        ("make", ""),
        ("/bin/true", ""),
        ("src", ""),
    ],
)
def test_a_file_that_is_no_program_by_itself_is_said_with_what_starts_it(
    tmp_path: Path, word: str, cure: str
) -> None:
    (tmp_path / "src").mkdir()
    for name in (
        "fit.py",
        "src/fit.py",
        "src/fit.sh",
        "all it.ipynb",
        "tool",
        "src/run.py",
        "src/words",
    ):
        (tmp_path / name).touch(mode=0o755 if name in ("tool", "src/run.py") else 0o644)
    project = settings.Project(folder=tmp_path)
    if not cure:
        check_script(project, [word], tmp_path)
        return
    with pytest.raises(ConfigError, match="a file, expected a program that starts it") as caught:
        check_script(project, [word, "--lr", "1"], tmp_path)
    assert caught.value.cure == cure


@pytest.mark.process
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("fit {n}", "'fit {n}': one word, expected a program"),  # no word without a key: no label
        ("", "an empty word is no command"),
        ("./fit_{m}.sh", "n: "),
        ("./none.sh", "none.sh: no such file"),
        ("./fat_{n}.sh", "fat_1.sh: no such file"),
        ("./fit_{n}.sh", ""),  # a script for each value
    ],
)
def test_a_sweeps_command_is_looked_at_as_a_template(
    here: Project, capsys: pytest.CaptureFixture[str], word: str, said: str
) -> None:
    here.write("fit_1.sh", "")
    words = ["sweep", "--dry-run", "--goal", "loss:min", "--grid", "n=1,2", "--"]
    more = [] if "{" in word else ["{n}"]
    code = run([*words, word, *more])
    assert (code != 0) == bool(said)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "cure"),
    [
        (
            "[project.scripts]\nfit = 'fitter.cli:main'",
            "python -c 'from fitter.cli import main; main",
        ),
        ("[tool.poetry.scripts]\nfit = 'fitter.cli:main'", "from fitter.cli import main"),
        ("[project.scripts]\nfit = 'fitter'", "python -m fitter"),
    ],
)
def test_a_console_script_of_the_project_is_named_with_the_way_out(
    tmp_path: Path, table: str, cure: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(f"{table}\n")
    project = settings.Project(folder=tmp_path)
    with pytest.raises(ConfigError, match="fit: a console script of this project") as caught:
        check_script(project, ["fit", "--lr", "1"], tmp_path)
    assert cure in caught.value.cure
    check_script(project, ["python", "fit.py"], tmp_path)
