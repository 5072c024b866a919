"""A run's record, which a pod has written: read whole, bounded and safe."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from moola_remote.cli.app import App
from moola_remote.cli.show import print_record
from moola_remote.errors import TransferError
from moola_remote.runs.record import read_folder, read_record

SPEC: dict[str, Any] = {"run_id": "r", "argv": ["python", "-c", "x\x1b[2J"]}
RUN = {"kind": "run", "t": 1.0, "device": "cuda (A100)", "versions": {"torch": "2.9"}}


def test_the_jobs_own_word_counts_more_than_what_deploy_saw() -> None:
    spec = {**SPEC, "machine": {"python": "3.11.2", "torch": "2.1", "device": "cpu"}}
    before = read_record({"spec": spec}, "x").machine
    assert (before.python, before.torch, before.device) == ("3.11.2", "2.1", "cpu")
    after = read_record({"spec": spec, "run": RUN}, "x").machine
    assert (after.python, after.torch, after.device) == ("3.11.2", "2.9", "cuda (A100)")


def test_a_fetched_run_is_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "config.yaml").write_text("a: 1\n\x1b]0;title\x07b: 2\n")
    lines = [{**RUN, "seed": 1}, "no event", {"kind": "telemetry"}, {**RUN, "seed": 2}]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = read_folder(tmp_path)
    assert record.state is None
    assert record.run is not None
    assert record.run.seed == 2
    assert record.config == "a: 1\nb: 2"


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {**SPEC, "argv": []},
        {**SPEC, "code": "../../etc"},
        {**SPEC, "source": {"commit": "--upload-pack=x"}},
        {**SPEC, "source": {"diff": "x" * 2**20}},
    ],
)
def test_a_record_that_is_none_is_refused_in_one_line(spec: dict[str, Any]) -> None:
    with pytest.raises(TransferError, match=r"^run r: spec") as caught:
        read_record({"spec": spec}, "run r")
    assert "\n" not in str(caught.value)


def test_files_that_are_missing_or_no_json_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match=r"spec\.json: can't be read"):
        read_folder(tmp_path)
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(TransferError, match=r"spec\.json: can't be read"):
        read_folder(tmp_path)


def test_an_end_that_is_no_time_is_reported_as_none(capsys: pytest.CaptureFixture[str]) -> None:
    state = {"run_id": "r", "state": "FAILED", "started_at": 1.0, "ended_at": math.inf}
    print_record(App(), read_record({"spec": SPEC, "state": state}, "x"))
    shown = capsys.readouterr().out
    assert "ended        not a time\n" in shown
    assert "took" not in shown
