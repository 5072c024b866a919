"""Random and mutated input of everything that is read: refused in one line, or read; no crash.

A hundred cases each in ``make test``, always the same; ``make fuzz`` tries new ones for longer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from moola_core.config.recipe import load_recipe
from moola_core.errors import JobError
from moola_remote.agent_client.answers import read_answer
from moola_remote.config.settings import Project, find_project, load_pod
from moola_remote.errors import MoolaError
from moola_remote.protocol.answers import Environment, PodInfo
from moola_remote.protocol.events import EventReader
from moola_remote.protocol.frames import FrameParser
from moola_remote.protocol.manifest import read_manifest
from moola_remote.protocol.result import load_result
from moola_remote.protocol.state import read_state
from moola_remote.protocol.types import read_answer_as
from moola_remote.text.sanitize import MAX_LINE, Screen, safe
from moola_remote.ui.tables import runs_table
from tests.support.mutation import MUTATIONS, one_line
from tests.support.plain import is_one_line

pytestmark = pytest.mark.fuzz

RUN = "20260101-000000-x-abcd"
DEEP = "[" * 5_000
DEEP_YAML = "[" * 1_200  # above the limit of recursion too; PyYAML takes the square of it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files are written over and over."""
    return tmp_path_factory.mktemp("fuzz")


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
