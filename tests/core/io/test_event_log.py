from __future__ import annotations

import json
import math
import time
from pathlib import Path

from moola_core.io.event_log import EventLog
from moola_core.io.json_file import write_json


def test_events_are_lines_with_schema_time_and_kind(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    before = time.time()
    log.write("note", text="zwölf\nlines")
    log.write("epoch", train={"total": math.nan, "span": 0.5})
    log.close()
    first, second = [
        json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()
    ]
    assert before <= first.pop("t") <= time.time()
    assert first == {"schema": 1, "kind": "note", "text": "zwölf\nlines"}
    assert second["train"] == {"total": None, "span": 0.5}


def test_a_later_log_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    for had_epochs in (False, True):
        log = EventLog(tmp_path / "events.jsonl")
        assert log.had_epochs is had_epochs
        assert log.epochs == ({1} if had_epochs else set())
        log.write("epoch", epoch=1)
        log.close()
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2


def test_json_replaces_a_file_and_leaves_nothing_aside(tmp_path: Path) -> None:
    for value in (1, 2):
        write_json(tmp_path / "result.json", {"value": value, "low": (-math.inf, 1.0)})
    assert json.loads((tmp_path / "result.json").read_text()) == {
        "schema": 1,
        "value": 2,
        "low": [None, 1.0],
    }
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
