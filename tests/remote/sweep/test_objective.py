"""The goal of a trial, read from what a run left; a pod may leave anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moola_remote.errors import ConfigError
from moola_remote.sweep.objective import read_metric, read_score
from moola_remote.sweep.trial import Score


def test_a_score_of_the_validation_split_with_its_interval(tmp_path: Path) -> None:
    f1 = {"value": 0.7, "low": 0.6, "high": 0.8}
    splits = {"validation": {"f1": f1}, "test": {"f1": {"value": 0.5}}}
    result = {"scores": splits}
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert read_score(tmp_path, "f1") == Score(0.7, 0.6, 0.8)
    assert read_score(tmp_path, "validation.f1") == Score(0.7, 0.6, 0.8)
    assert read_score(tmp_path, "test.f1") == Score(0.5)


@pytest.mark.parametrize("folder", ["", "workdir"])
def test_a_number_of_somebody_elses_result(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    table = {"loss": 0.25, "eval": {"acc": 0.9}, "eval.f1": 0.4}
    (tmp_path / folder / "result.json").write_text(json.dumps(table))
    assert read_score(tmp_path, "loss") == Score(0.25)
    assert read_score(tmp_path, "eval.acc") == Score(0.9)
    assert read_score(tmp_path, "eval.f1") == Score(0.4)


def test_the_last_event_that_has_it(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"kind": "epoch", "epoch": n, "scores": {"f1": n / 10}} for n in (1, 2, 3)
    ]
    lines += [{"kind": "telemetry"}, {"kind": "own", "loss": 0.5}]
    (tmp_path / "events.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    assert read_score(tmp_path, "f1") == Score(0.3)
    assert read_score(tmp_path, "loss") == Score(0.5)


def test_the_last_line_of_the_log_that_matches(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(
        b"loss 0.5\n" + b"loss " * 5000 + b"9\nloss 0.25\nloss is small\n\xff\xfe\n"
    )
    assert read_score(tmp_path, "loss", r"loss (\d\S*)") == Score(0.25)
    assert read_score(tmp_path, "loss", r"accuracy (\S+)") is None


@pytest.mark.parametrize(
    "content",
    ['{"f1": NaN}', '{"f1": "0.5"}', '{"f1": true}', '{"f1": [1]}', "[]", "{", "", '{"f1": 1e999}'],
)
def test_what_is_no_finite_number_is_no_score(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    (tmp_path / "events.jsonl").write_text("[1]\n{\n\n" + "[" * 10_000 + "\n")
    assert read_score(tmp_path, "f1") is None


def test_a_pattern_needs_a_group() -> None:
    for pattern in ("loss", "loss ("):
        with pytest.raises(ConfigError, match="--metric"):
            read_metric(pattern)
