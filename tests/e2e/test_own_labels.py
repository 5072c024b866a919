"""docs/data.md, "Train on a pod": the commands as printed, on bars and spans of one's own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from moola_remote.cli.assumed import check_read
from moola_remote.config.recipe import data_files
from moola_remote.config.settings import find_project
from moola_remote.deploy.snapshot import data_tree
from moola_remote.errors import ConfigError
from tests.support.projects import Project

pytestmark = [pytest.mark.e2e, pytest.mark.process]

REPOSITORY = Path(__file__).parents[2]
LABELLED = "data.labelled=labelled/mine.parquet"


def printed() -> list[str]:
    """The lines of the section's block of commands."""
    section = (REPOSITORY / "docs" / "data.md").read_text().partition("## Train on a pod\n")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    return [line.partition("   #")[0].strip() for line in block.splitlines()]


def reads(*settings: str, recipe: str = "span") -> dict[str, list[str]]:
    return data_files(find_project(REPOSITORY), recipe, settings) or {}


def test_the_printed_training_reads_the_file_that_is_printed_before_it(tmp_path: Path) -> None:
    made, train, *_ = printed()
    (tmp_path / "labelled").mkdir()
    (tmp_path / shlex.split(made)[-1]).write_bytes(b"")
    words = shlex.split(train)
    assert words[:2] == ["moola-remote", "train"]
    settings = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    name, _, path = words[words.index("--data") + 1].partition("=")
    tree = data_tree({name: tmp_path / path})
    check_read(tree, reads(*settings))
    with pytest.raises(ConfigError, match=r"data.labelled is labelled/train_210.parquet, expected"):
        check_read(tree, reads())


def test_each_file_that_the_recipe_reads_has_to_be_sent(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"")
    tree = data_tree({"labelled": tmp_path})
    with pytest.raises(ConfigError, match=r"data.labelled") as caught:
        check_read(tree, reads())
    assert caught.value.cure == f"--set {LABELLED}"
    with pytest.raises(ConfigError, match=r"data.test is labelled/test.parquet") as caught:
        check_read(tree, reads(LABELLED, "data.test=labelled/test.parquet"))
    assert "mine" not in (caught.value.cure or "")  # what trains is no test
    with pytest.raises(ConfigError, match=r"pretrain.bars is bars/mnq_1m.parquet"):
        check_read(tree, reads(recipe="pretrain"))
    with pytest.raises(ConfigError, match=r"data.labelled"):
        check_read(None, reads())
    check_read(tree, reads(LABELLED, "data.test=null", "model.encoder=/tmp/encoder"))


def test_data_of_the_project_that_is_not_there_stops_no_run_of_other_data(
    local_project: Project,
) -> None:
    settings = local_project.folder / "pyproject.toml"
    text = settings.read_text()
    line = re.search(r"^numbers = .*$", text, re.MULTILINE)
    assert line
    local_project.write("pyproject.toml", text.replace(line[0], f'{line[0]}\nbars = ["gone"]'))
    assert "data 'bars': no such file" in local_project.run("train", "--dry-run").stderr
    words = ("train", "--epochs", "1", "--data", "numbers=data/numbers")
    for more in (["--dry-run"], []):
        done = local_project.run(*words, *more)
        assert done.returncode == 0, done.stderr
        assert "not sent, data of pyproject.toml that is not here: bars" in done.stderr
    assert "data 'bars'" in local_project.run("train", "--data", "bars=gone").stderr
