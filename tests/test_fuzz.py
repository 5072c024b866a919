"""Random and mutated input of everything that is read: refused in one line, or read; no crash.

A hundred cases each in ``make test``, always the same; ``make fuzz`` tries new ones for longer.
"""

from __future__ import annotations

import functools
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from moola_core.config.recipe import load_recipe
from moola_core.data.series import read_bars
from moola_core.data.synthetic import make_market, windows_table
from moola_core.data.windows import read_windows
from moola_core.errors import JobError
from moola_remote.agent_client.answers import read_answer
from moola_remote.config.settings import Project, find_project, load_pod
from moola_remote.deploy.parquet import _footer
from moola_remote.errors import MoolaError
from moola_remote.protocol.answers import Environment, PodInfo
from moola_remote.protocol.events import EventReader
from moola_remote.protocol.frames import FrameParser
from moola_remote.protocol.manifest import read_manifest
from moola_remote.protocol.result import load_result
from moola_remote.protocol.state import read_state
from moola_remote.protocol.types import read_answer_as
from moola_remote.report.predictions import Window
from moola_remote.report.predictions import read_windows as read_predictions
from moola_remote.text.sanitize import MAX_LINE, Screen, safe
from moola_remote.ui.tables import runs_table
from tests.support.plain import is_one_line

pytestmark = pytest.mark.fuzz

RUN = "20260101-000000-x-abcd"
DEEP = "[" * 5_000
DEEP_YAML = "[" * 1_200  # above the limit of recursion too; PyYAML takes the square of it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files are written over and over."""
    return tmp_path_factory.mktemp("fuzz")


def one_line(read: Callable[[], object], *errors: type[Exception]) -> object:
    """What `read` gives; None where it refuses, as it must: by one of `errors`, in one line."""
    try:
        return read()
    except errors as err:
        text = str(err)
        assert is_one_line(text)
        assert 0 < len(text) < 5000
    return None


# ---- the frames, the answers and the manifest of a pod

WORDS = st.sampled_from([*"SDRHPE", "log", "events", " ", "\n", "0", "5", "-1", "9" * 30, "{", "x"])
STREAMS = st.one_of(
    st.binary(max_size=300),
    st.lists(WORDS, max_size=30).map(lambda words: "".join(words).encode()),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([RUN, "RUNNING", "0" * 64, "log", "../x", "3.11.7"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def objects_of(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these keys, of whatever value."""
    return st.dictionaries(st.sampled_from(keys), JSON, max_size=len(keys))


@dataclass(frozen=True)
class Mutation:
    """Some bytes are changed, and a stretch is cut out or doubled.

    Attributes:
        edits: places, in millionths of the length or below 0 from the end, and bytes.
        stretch: where, how long, how often it is there afterwards.
    """

    edits: list[tuple[int, int]]
    stretch: tuple[int, int, int] | None

    def of(self, whole: bytes) -> bytes:
        """`whole`, mutated."""
        data = bytearray(whole)
        for place, byte in self.edits:
            data[self._index(place, len(data))] = byte
        if self.stretch is not None:
            start, size, times = self.stretch
            at = self._index(start, len(data))
            data[at : at + size] = data[at : at + size] * times
        return bytes(data)

    def _index(self, place: int, length: int) -> int:
        return max(length + place, 0) if place < 0 else place * (length - 1) // 1_000_000


# A footer is at the end, so that is where most is decided.
PLACES = st.integers(0, 1_000_000) | st.integers(-2000, -1)
MUTATIONS = st.builds(
    Mutation,
    st.lists(st.tuples(PLACES, st.integers(0, 255)), max_size=8),
    st.none() | st.tuples(PLACES, st.integers(0, 64), st.sampled_from([0, 2])),
)


@given(STREAMS, st.integers(1, 50))
def test_any_bytes_are_frames_or_refused(stream: bytes, size: int) -> None:
    parser = FrameParser()

    def feed() -> int:
        pieces = (stream[at : at + size] for at in range(0, len(stream), size))
        return sum(len(list(parser.feed(piece))) for piece in pieces)

    one_line(feed, MoolaError)


MANIFEST = {
    "schema": 1,
    "run_id": RUN,
    "files": [{"path": "artifacts/a b", "size": 3, "sha256": "0" * 64}],
}


@example(DEEP.encode())
@given(
    MUTATIONS.map(lambda change: change.of(json.dumps(MANIFEST).encode()))
    | objects_of("schema", "run_id", "files").map(lambda table: json.dumps(table).encode())
)
def test_any_manifest_is_read_or_refused(content: bytes) -> None:
    manifest = one_line(lambda: read_manifest(content, RUN), MoolaError)
    for file in getattr(manifest, "files", []):
        assert not Path(file.path).is_absolute()
        assert ".." not in Path(file.path).parts


STATE_KEYS = (
    *("run_id", "state", "reason", "returncode", "signal", "oom_killed", "queued_at", "started_at"),
    *("ended_at", "gpu", "last_lines", "log_size", "manifest_sha256", "queue_position", "now"),
)


@given(objects_of(*STATE_KEYS), st.sampled_from(["RUNNING", "QUEUED", "LOST"]))
def test_any_state_is_shown_or_refused(table: dict[str, Any], name: str) -> None:
    state = one_line(lambda: read_state({"run_id": RUN, "state": name, **table}), MoolaError)
    if state is not None:
        shown = runs_table([state], now=0.0).plain()  # type: ignore[list-item]
        assert is_one_line(shown.replace("\n", ""))


@given(objects_of("ok", "error", "message", "missing"), st.binary(max_size=40))
@example({"ok": False, "message": [[]]}, DEEP.encode())
@example({"ok": False, "message": ""}, b"")
@example({}, "letters of nobody: \ue5d1\u0378\xa0".encode())
def test_any_answer_is_read_or_refused(table: dict[str, Any], stderr: bytes) -> None:
    text = json.dumps(table).encode()
    one_line(lambda: read_answer(text, 1, stderr, what="agent x"), MoolaError)
    one_line(lambda: read_answer(stderr, 1, text, what="agent x"), MoolaError)


@given(
    objects_of("python", "gpus", "cpus", "disk_free", "rsync", "trees", "packages", "torch"),
    st.sampled_from([PodInfo, Environment]),
)
def test_any_description_of_a_pod_is_read_or_refused(
    table: dict[str, Any], model: type[PodInfo | Environment]
) -> None:
    one_line(lambda: read_answer_as(model, {"python": "3", **table}, "probe"), MoolaError)


EVENT_KEYS = ("t", "kind", "epoch", "train", "scores", "gpus", "text", "tasks", "windows", "path")


@given(objects_of(*EVENT_KEYS), st.sampled_from(["run", "epoch", "telemetry", "note"]))
def test_any_event_is_read_or_counted(table: dict[str, Any], kind: str) -> None:
    reader = EventReader()
    found = reader.feed(json.dumps({"kind": kind, **table}).encode() + b"\n")
    assert len(found) + reader.num_refused <= 1
    for event in found:
        json.loads(event.to_json_line(), parse_constant=pytest.fail)


@example(DEEP)
@given(
    objects_of("recipe", "seed", "scores", "baselines", "data", "decoder", "sigma").map(json.dumps)
)
def test_any_result_is_read_or_refused(folder: Path, text: str) -> None:
    path = folder / "result.json"
    path.write_text(text)
    one_line(lambda: load_result(path), MoolaError)


# ---- the screen filter


ESCAPES = st.sampled_from(
    ["\x1b", "\x1b[", "\x1b]0;", "\x9b", "\x90", "K", "2J", ";", "\r", "\b", "\n", "\x07", "a", "é"]
)


@given(
    st.lists(ESCAPES | st.text(max_size=3), max_size=40).map(
        lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
    ),
    st.integers(1, 7),
)
def test_nothing_that_acts_on_a_terminal_comes_through(data: bytes, size: int) -> None:
    screen = Screen()
    lines = []
    for at in range(0, len(data), size):
        lines += screen.feed(data[at : at + size])
    lines += screen.close()
    for text in (*lines, safe(data.decode("utf-8", "replace"))):
        assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in text if char != "\t")
        assert len(text) <= 10 * MAX_LINE


# ---- settings


YAML = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            [
                "a",
                "- ",
                ": ",
                "\n",
                "  ",
                "{",
                "}",
                "[",
                "]",
                "&a",
                "*a",
                "!!int ",
                "'",
                '"',
                "2001-99-9",
            ]
        ),
        max_size=20,
    ).map("".join),
)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join(['*' + before] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
POD_KEYS = ("provider", "host", "port", "user", "identity_file", "host_key", "root", "python")
RECIPE_KEYS = ("name", "data", "split", "model", "loss", "training", "decoder", "ensemble")


@example(DEEP_YAML)
@example(BOMB)
@example(BOMB + "host: *i\n")
@example("port: 2001-99-99\n")
@example("port: !!int\n")
@example("port: !!bool x\n")
@example("port: !!timestamp x\n")
@given(YAML | objects_of(*POD_KEYS).map(yaml.safe_dump))
def test_any_pods_file_is_read_or_refused(folder: Path, text: str) -> None:
    project = Project(folder=folder)
    path = folder / "configs" / "pods" / "x.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    one_line(lambda: load_pod(project, "x"), MoolaError)


@given(st.text(max_size=60) | st.sampled_from(["x = 1\n", "x = 2001-99-99\n", "x = [" * 2000]))
def test_any_project_file_is_read_or_refused(folder: Path, text: str) -> None:
    head = "[tool.moola-remote]\n"
    (folder / "pyproject.toml").write_bytes((head + text).encode("utf-8", "surrogatepass"))
    one_line(lambda: find_project(folder), MoolaError)


@example(DEEP_YAML, [])
@example(BOMB + "name: *i\n", [])
@example("data: 2001-99-99\n", ["training.epochs=2001-99-99"])
@example("", ["training.epochs=" + DEEP_YAML])
@example("data: !!int\n", ["training.epochs=!!int"])
@example("", ["\n"])
@example("", ["x\ny.z=1"])
@given(
    YAML | objects_of(*RECIPE_KEYS).map(yaml.safe_dump),
    st.lists(st.text(max_size=20) | st.just("training.epochs=") | st.just("x.y=1"), max_size=2),
)
def test_any_recipe_is_read_or_refused(folder: Path, text: str, overrides: list[str]) -> None:
    path = folder / "recipe.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    one_line(lambda: load_recipe(path, overrides), JobError)


# ---- Parquet


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="none")
    return file.getvalue()


@functools.cache
def windows_file() -> bytes:
    market = make_market(5_000, seed=3)
    return _parquet(windows_table(market, 6, per_span=1, shifts=False, seed=5)[0])


@functools.cache
def bars_file() -> bytes:
    prices = np.linspace(10.0, 20.0, 50)
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    time = pa.array(np.arange(50) * 60_000_000_000).cast(pa.timestamp("ns", tz="UTC"))
    return _parquet(pa.table({"timestamp": time, **columns}))


@functools.cache
def predictions_file() -> bytes:
    spans: dict[str, Any] = {name: [3, 4] for name in ("start", "true_start", "said_bars")}
    spans |= {name: [8, 9] for name in ("stop", "true_stop")}
    columns = {"window_id": ["a", "b"], "side": ["test", "test"], "confidence": [0.5, 0.9]}
    lists = {
        "span_probs": [[0.5] * 10] * 2,
        "type_probs": [[0.3, 0.7]] * 2,
        "bars": [[1.0] * 40] * 2,
    }
    return _parquet(pa.table({**columns, **spans, "hit_bars": [1, 2], **lists}))


def _read_all(path: Path) -> None:
    for read in (read_windows, read_bars):
        one_line(functools.partial(read, path), JobError)
    one_line(lambda: read_windows(path, skip_bad=True), JobError)
    one_line(lambda: read_predictions(path), MoolaError)
    _footer(path)


@example(Mutation([(3810, 128)], None))  # a window's id is no UTF-8
@given(MUTATIONS)
def test_a_mutated_file_of_windows_is_read_or_refused(folder: Path, change: Mutation) -> None:
    path = folder / "windows.parquet"
    path.write_bytes(change.of(windows_file()))
    _read_all(path)


@example(Mutation([], (0, 10, 2)))  # pyarrow quotes a control character
@given(MUTATIONS)
def test_a_mutated_file_of_bars_is_read_or_refused(folder: Path, change: Mutation) -> None:
    path = folder / "bars.parquet"
    path.write_bytes(change.of(bars_file()))
    _read_all(path)


@given(MUTATIONS)
def test_a_mutated_file_of_predictions_is_read_or_refused(folder: Path, change: Mutation) -> None:
    path = folder / "predictions.parquet"
    path.write_bytes(change.of(predictions_file()))
    for window in _predictions(path):
        assert 0.0 <= window.iou <= 1.0
        assert is_one_line(window.window_id)
    _read_all(path)


def _predictions(path: Path) -> list[Window]:
    found = one_line(lambda: read_predictions(path), MoolaError)
    return found if isinstance(found, list) else []


NUMBERS = st.floats(width=64) | st.sampled_from([0.0, 1.0, -1.0, math.inf, math.nan, 1e308])
VALUES = st.one_of(
    st.lists(NUMBERS | st.none(), min_size=3, max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=3, max_size=3),
    st.lists(st.text(max_size=5) | st.none(), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(st.binary(max_size=3), min_size=3, max_size=3),
    st.lists(st.datetimes(), min_size=3, max_size=3),
    st.lists(st.lists(st.lists(NUMBERS, max_size=5), max_size=3), min_size=3, max_size=3),
    st.lists(st.lists(NUMBERS | st.none(), max_size=5), min_size=3, max_size=3),
    st.just([None, None, None]),
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("timestamp", "open", "high", "low", "close"),
                *("window_id", "base_window_id", "offset", "features", "label", "source"),
                *("expansion_start", "expansion_end", "overlap_fraction", "quality"),
                *("start_timestamp", "file", "span_id", "side", "span_probs", "bars"),
            ]
        ),
        VALUES,
        max_size=16,
    ),
    st.booleans(),
)
@example(columns={"start_timestamp": [datetime(2263, 1, 1)] * 3}, is_whole=True)  # noqa: DTZ001
def test_a_file_of_other_columns_is_read_or_refused(
    folder: Path, columns: dict[str, list[Any]], is_whole: bool
) -> None:
    """With `is_whole`, these replace columns of a right file of windows, or of bars."""
    path = folder / "columns.parquet"
    theirs = {name: pa.array(values) for name, values in columns.items()}
    for base in (windows_file(), bars_file()) if is_whole else (None,):
        table = pq.read_table(io.BytesIO(base)).slice(0, 3) if base else pa.table({})
        ours = {name: table[name] for name in table.column_names}
        pq.write_table(pa.table({**ours, **theirs}), path)
        _read_all(path)
