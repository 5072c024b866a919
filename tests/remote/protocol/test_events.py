"""Events and results as they come from a job that may be old, new, broken or hostile."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_remote.errors import ConfigError
from moola_remote.protocol.events import (
    MAX_EVENT_BYTES,
    CheckpointEvent,
    EpochEvent,
    EventReader,
    NoteEvent,
    RunEvent,
    TelemetryEvent,
    parse_event,
)
from moola_remote.protocol.result import load_result
from moola_remote.protocol.types import MAX_RESULT_BYTES
from tests.support.plain import is_one_line

EPOCH = {"schema": 1, "t": 5.0, "kind": "epoch", "epoch": 2, "epochs": 40, "train": {"total": 8.5}}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3)
    ),
    max_leaves=8,
)


def encoded(table: object) -> bytes:
    return json.dumps(table).encode()


def test_each_kind_is_read_as_its_type() -> None:
    kinds = {
        "run": RunEvent,
        "checkpoint": CheckpointEvent,
        "telemetry": TelemetryEvent,
        "note": NoteEvent,
    }
    for kind, model in kinds.items():
        assert type(parse_event(encoded({"schema": 1, "t": 1, "kind": kind}))) is model
    event = parse_event(encoded(EPOCH))
    assert isinstance(event, EpochEvent)
    assert (event.t, event.epoch, event.epochs, event.train) == (5.0, 2, 40, {"total": 8.5})


@pytest.mark.parametrize("table", [{"kind": "from the future"}, {"kind": 7}, {"kind": []}, {}])
def test_an_unknown_kind_is_passed_over(table: dict[str, object]) -> None:
    assert parse_event(encoded(table)) is None


def test_an_unknown_key_is_passed_over() -> None:
    assert parse_event(encoded({**EPOCH, "new": {"deep": [1]}})) == parse_event(encoded(EPOCH))


@pytest.mark.parametrize("text", ["NaN", "null"])
def test_a_loss_that_is_no_number_reads_as_nan(text: str) -> None:
    event = parse_event(b'{"kind":"epoch","epoch":1,"train":{"total":%s}}' % text.encode())
    assert isinstance(event, EpochEvent)
    assert math.isnan(event.train["total"])


def test_what_a_script_gets_is_strict_json() -> None:
    event = parse_event(b'{"kind":"epoch","epoch":1,"train":{"total":NaN},"seconds":Infinity}')
    assert event is not None
    table = json.loads(event.to_json_line(), parse_constant=pytest.fail)
    assert (table["schema"], table["kind"], table["train"], table["seconds"]) == (
        1,
        "epoch",
        {"total": None},
        None,
    )


def test_text_is_cut_and_made_safe() -> None:
    event = parse_event(encoded({"kind": "note", "text": "\x1b[31mred\nnext" + "x" * 9000}))
    assert isinstance(event, NoteEvent)
    assert event.text.startswith(r"\x1b[31mred\nnext")
    assert len(event.text) < 520
    run = parse_event(encoded({"kind": "run", "tasks": ["span\u202e"]}))
    assert isinstance(run, RunEvent)
    assert run.tasks == [r"span\u202e"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not json",
        b"\xff",
        b"[]",
        b"[" * 60_000,
        b'{"kind":"note","text":"' + b"x" * MAX_EVENT_BYTES + b'"}',
        b'{"kind":"epoch"}',
        b'{"kind":"epoch","epoch":-1}',
        b'{"kind":"epoch","epoch":1e999}',
        b'{"kind":"epoch","epoch":' + b"9" * 5000 + b"}",
        b'{"kind":"epoch","epoch":1,"train":{"total":"high"}}',
        b'{"kind":"epoch","epoch":1,"train":[1]}',
        encoded({"kind": "epoch", "epoch": 1, "train": {str(i): 1 for i in range(65)}}),
    ],
)
def test_a_line_that_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_event(line)


def test_what_is_deep_is_refused_or_passed_over() -> None:
    reader = EventReader()  # json's limit is higher since Python 3.13
    line = b'{"kind":"note","text":"x","a":' + b"[" * 30_000 + b"]" * 30_000 + b"}\n"
    assert len(reader.feed(line)) + reader.num_refused == 1


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"kind":"note","text":"a\\ud800"}', r"a\ud800"),
        (b'{"kind":"note","text":"\xed\xa0\x80"}', r"\ud800"),
    ],
)
def test_half_a_character_is_shown_as_an_escape(line: bytes, text: str) -> None:
    event = parse_event(line)
    assert isinstance(event, NoteEvent)
    assert event.text == text


@pytest.mark.parametrize("key", ["a" * 100, "a\x1b[2J", "\u202ea", "\ud800"])
def test_the_names_of_a_table_are_safe_and_short(key: str) -> None:
    event = parse_event(json.dumps({"kind": "epoch", "epoch": 1, "train": {key: 1}}).encode())
    assert isinstance(event, EpochEvent)
    (name,) = event.train
    assert is_one_line(name)
    assert len(name) <= 60 + 5


@given(
    st.dictionaries(st.sampled_from([*EpochEvent.__struct_fields__, "gpus", "tasks"]), JSON_VALUES),
    st.sampled_from(["run", "epoch", "checkpoint", "telemetry", "note"]),
)
def test_no_json_object_breaks_the_reader(table: dict[str, object], kind: str) -> None:
    EventReader().feed(encoded({**table, "kind": kind}) + b"\n")


@given(st.binary(max_size=50))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    EventReader().feed(data + b"\n")


@given(st.lists(st.integers(0, 400), max_size=9))
def test_where_the_bytes_are_cut_makes_no_difference(cuts: list[int]) -> None:
    notes = [{"kind": "note", "text": f"line {i} é"} for i in range(5)]
    data = b"\n".join([*map(encoded, notes), b"broken", b""])
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    reader = EventReader()
    events = [event for a, b in pairwise(ends) for event in reader.feed(data[a:b])]
    assert [event.text for event in events if isinstance(event, NoteEvent)] == [
        n["text"] for n in notes
    ]
    assert reader.num_refused == 1


def test_a_line_without_end_is_skipped_in_bounded_memory() -> None:
    reader = EventReader()
    for _ in range(100):
        assert reader.feed(b"x" * MAX_EVENT_BYTES) == []
        assert len(reader._pending) <= MAX_EVENT_BYTES
    (event,) = reader.feed(b'"}\n{"kind":"note","text":"after"}\n')
    assert isinstance(event, NoteEvent)
    assert (event.text, reader.num_refused) == ("after", 1)


def test_a_result_is_read_with_its_scores_and_baselines(tmp_path: Path) -> None:
    score = {"value": 0.41, "low": 0.35, "high": None}
    table = {
        "schema": 1,
        "recipe": "jade",
        "seed": 7,
        "epochs": 40,
        "seconds": 12.5,
        "threshold": None,
        "decoder": {"name": "best_span", "bias": 0.5, "deep": {"left": "out"}},
        "scores": {"validation": {"f1": score}, "test": None},
        "baselines": {"largest_bar": {"f1": score}},
        "data": {"files": [{"path": "labelled/a.parquet", "sha256": "0" * 64, "windows": 210}]},
    }
    path = tmp_path / "result.json"
    path.write_bytes(encoded(table))
    result = load_result(path)
    assert result.scores.validation["f1"].value == 0.41
    assert math.isnan(result.scores.validation["f1"].high)
    assert result.scores.test is None
    assert result.baselines["largest_bar"]["f1"].low == 0.35
    assert result.decoder == {"name": "best_span", "bias": 0.5}
    assert result.data.files[0].windows == 210


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "can't be read"),
        (b"", "not JSON"),
        (b"[" * 9999, "not JSON"),
        (b'{"scores": 5}', "scores: "),
        (b'{"epochs": "many"}', "epochs: "),
        (b"[]", "the file: "),
        (b" " * (MAX_RESULT_BYTES + 1), "at most"),
    ],
)
def test_a_wrong_result_is_reported_in_one_line(
    tmp_path: Path, data: bytes | None, said: str
) -> None:
    path = tmp_path / "result.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError, match=said) as caught:
        load_result(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
