"""A run from a stranger's machine: whatever lies in place of its files, no code of theirs runs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.evaluate import main as evaluate
from jobs.predict import main as predict
from jobs.train import main as train
from jobs.tune import main as tune

pytestmark = pytest.mark.train

SEED = Path(__file__).parents[2] / "configs" / "train" / "seed.yaml"
MARK = "moola-poisoned"  # a folder that the payload makes where it is loaded


class Payload:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (MARK,)


def _saved_by_torch() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(3), "evil": Payload()}, file)
    return file.getvalue()


def _saved_by_numpy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Payload()], dtype=object), allow_pickle=True)
    return file.getvalue()


def _safetensors(header: object, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(64)


TENSOR = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
POISONS = {
    "pickle": pickle.dumps(Payload()),
    "torch": _saved_by_torch(),
    "numpy": _saved_by_numpy(),
    "empty": b"",
    "long header": _safetensors({}, length=2**63),
    "cut header": _safetensors({}, length=100_000),
    "no json": _safetensors(b"\x80\x04evil"),
    "deep": _safetensors(b"[" * 100_000),
    "no object": _safetensors([1]),
    "outside": _safetensors({"w": {**TENSOR, "data_offsets": [0, 2**60]}}),
    "before": _safetensors({"w": {**TENSOR, "data_offsets": [-16, 0]}}),
    "overlapping": _safetensors({"w": TENSOR, "v": TENSOR}),
    "huge": _safetensors({"w": {**TENSOR, "shape": [2**62, 2**62]}}),
    "odd type": _safetensors({"w": {**TENSOR, "dtype": "PICKLE"}}),
    "another model's": _safetensors({"w": {**TENSOR, "shape": [16], "data_offsets": [0, 64]}}),
}


@pytest.fixture(autouse=True)
def aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where a payload would leave its mark; and the signals stay ours."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
    assert not Path(MARK).exists()


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run, tmp_path / "run"))


Refused = Callable[[Callable[[list[str]], int], str], str]


@pytest.fixture
def refused(data: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one line that a job ends with; ``RUN`` and ``DATA`` stand for the folders."""

    def look(job: Callable[[list[str]], int], words: str) -> str:
        places = {"RUN": str(run), "DATA": str(data), "SEED": str(SEED)}
        asked = [places.get(word, word) for word in words.split()]
        bars = str(data / "bars" / "synthetic_1m.parquet")
        assert job([bars if word == "BARS" else word for word in asked]) == 10
        *said, line = capsys.readouterr().err.splitlines()
        assert all(one.startswith("reading ") for one in said)
        assert line.startswith("error: ")
        assert len(line) < 1000
        return str(line)

    return look


def test_the_payload_would_run(tmp_path: Path) -> None:
    for number, name in enumerate(("pickle", "torch", "numpy")):
        data = io.BytesIO(POISONS[name])
        load: Callable[[], object] = (
            lambda data=data: pickle.load(data),
            lambda data=data: torch.load(data, weights_only=False),  # noqa: TID251
            lambda data=data: np.load(data, allow_pickle=True),
        )[number]
        load()
        Path(MARK).rmdir()


JOBS = {
    "predict": (predict, "--run RUN --bars BARS --out out.csv"),
    "evaluate": (evaluate, "--run RUN --file labelled/test_1000.parquet --data DATA"),
    "tune": (tune, "RUN --data DATA"),
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
def test_weights_that_are_none_run_no_code(poison: bytes, run: Path, refused: Refused) -> None:
    (run / "artifacts" / "model.safetensors").write_bytes(poison)
    assert "not a model that this version can use" in refused(*JOBS["predict"])
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("job", JOBS)
def test_no_job_that_loads_a_run_unpickles_it(job: str, run: Path, refused: Refused) -> None:
    (run / "artifacts" / "model.safetensors").write_bytes(POISONS["torch"])
    (run / "artifacts" / "model.pt").write_bytes(POISONS["torch"])
    assert "not a model that this version can use" in refused(*JOBS[job])


@pytest.mark.parametrize(
    "card",
    [
        *(b"", b"[]", b"null", b"[" * 100_000, b"\xff", POISONS["pickle"], b" " * (2**24 + 1)),
        *(b'{"weights": 3}', b'{"recipe": {"name": "x", "__class__": "os.system"}}'),
    ],
)
def test_a_card_that_is_none_is_one_line(card: bytes, run: Path, refused: Refused) -> None:
    (run / "artifacts" / "model.json").write_bytes(card)
    assert "not a model that this version can use" in refused(*JOBS["predict"])


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": ["../../../etc/passwd"]},
        {"weights": ["/etc/passwd"]},
        {"weights": []},
        {"weights": ["."]},
        {"weights": ["model.safetensors"] * 1001},
        {"features": ["x"] * 10_000},
        {"features": []},
        {"decoder": {"kind": "eval"}},
        {"candidate_columns": ["mine"]},
    ],
)
def test_a_card_that_asks_for_more_is_one_line(
    changes: dict[str, object], run: Path, refused: Refused
) -> None:
    path = run / "artifacts" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert "not a model that this version can use" in refused(*JOBS["predict"])


def test_a_card_of_a_model_without_bounds_is_refused(run: Path, refused: Refused) -> None:
    path = run / "artifacts" / "model.json"
    card = json.loads(path.read_text())
    for key in ("hidden_size", "num_layers", "pooled_size"):
        recipe = {**card["recipe"], "model": {**card["recipe"]["model"], key: 10**9}}
        path.write_text(json.dumps({**card, "recipe": recipe}))
        assert f"recipe.model.{key}" in refused(*JOBS["predict"])


RESUME = "--config SEED --set model.hidden_size=8 --set decoder.kind=best_span --epochs 4"
RESUME += " --run-dir again --data DATA --resume RUN"


def _replace(checkpoint: Path, name: str, content: bytes) -> None:
    """Put other content into a checkpoint, and its right sum beside it: a stranger can."""
    (checkpoint / name).write_bytes(content)
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(checkpoint.iterdir())
        if path.name != "SHA256SUMS"
    ]
    (checkpoint / "SHA256SUMS").write_text("".join(lines))


def _checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").iterdir())


def test_the_checkpoint_itself_is_resumed(data: Path, run: Path) -> None:
    words = RESUME.replace("SEED", str(SEED)).replace("DATA", str(data)).replace("RUN", str(run))
    assert train(words.split()) == 0


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
def test_a_checkpoint_that_is_none_runs_no_code(poison: bytes, run: Path, refused: Refused) -> None:
    for checkpoint in _checkpoints(run):
        _replace(checkpoint, "tensors.safetensors", poison)
        (checkpoint / "optimizer.pt").write_bytes(POISONS["torch"])
    line = refused(train, RESUME)
    assert "checkpoint" in line


@pytest.mark.parametrize(
    "state",
    [
        *(b"", b"[]", b"[" * 100_000, POISONS["pickle"], b'{"epoch": 1}'),
        *({"epoch": -1}, {"batch": "1"}, {"identity": 3}, {"history": [3]}, {"best_value": "x"}),
        {"best_epoch": None, "gradient_share": None, "best_value": []},
    ],
)
def test_a_state_that_is_none_is_one_line(
    state: bytes | dict[str, object], run: Path, refused: Refused
) -> None:
    for checkpoint in _checkpoints(run):
        known = json.loads((checkpoint / "state.json").read_bytes())
        content = state if isinstance(state, bytes) else json.dumps({**known, **state}).encode()
        _replace(checkpoint, "state.json", content)
    assert "checkpoint" in refused(train, RESUME)


@pytest.mark.parametrize("poison", ["pickle", "torch", "deep", "another model's"])
def test_an_encoder_that_is_none_runs_no_code(poison: str, data: Path, refused: Refused) -> None:
    folder = Path("encoder").absolute()
    folder.mkdir()
    (folder / "encoder.safetensors").write_bytes(POISONS[poison])
    (folder / "encoder.json").write_text('{"features": []}')
    words = f"--config SEED --set model.encoder={folder} --run-dir again --data DATA"
    assert "encoder" in refused(train, words)


@pytest.mark.parametrize("result", [b"[]", b"[" * 100_000, b'{"data": {"files": 3}}', b"\xff"])
def test_a_result_that_is_none_is_one_line(result: bytes, run: Path, refused: Refused) -> None:
    (run / "result.json").write_bytes(result)
    assert "expected a finished run with result.json" in refused(*JOBS["tune"])
