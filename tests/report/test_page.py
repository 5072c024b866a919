"""The page of a run as a file: whole, small, closed to the network and to the text in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from moola_remote.errors import ConfigError
from moola_remote.report.plot_data import plots
from moola_remote.report.run_files import read_run
from moola_remote.report.run_page import report, write_report
from tests.report.made import make_run, write

MAX_BYTES = 6_000_000
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"


class Reader(HTMLParser):
    """Collects scripts, styles, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside: list[tuple[str, dict[str, str | None], str]] = []
        self.attributes: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.text = ""
        self._tag: tuple[str, dict[str, str | None]] = ("", {})
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._tag = (tag, dict(attrs))
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the base's
        self._tag = ("", {})

    def handle_data(self, data: str) -> None:
        if self._tag[0] in ("script", "style"):
            self.inside.append((*self._tag, data))
        else:
            self.text += data

    @property
    def policy(self) -> str:
        return next(value for name, value in self.attributes if value.startswith("default-src"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "20260101-000000-jade-abcd")


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return report(read_run(run))


def test_the_page_asks_for_nothing_and_allows_only_its_own_scripts(page: str) -> None:
    read = Reader(page)
    assert "default-src 'none'" in read.policy
    assert "unsafe" not in read.policy
    assert not {"link", "iframe", "object", "img", "base"} & set(read.tags)
    names = {name for name, _ in read.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "style")}
    assert {value[0] for name, value in read.attributes if name == "href"} == {"#"}
    for tag, attributes, text in read.inside:
        if attributes.get("type") != "application/json":
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in read.policy, tag


def test_the_page_says_how_the_run_went(page: str) -> None:
    text = " ".join(Reader(page).text.split())
    for words in (
        *("succeeded", "jade · cuda (NVIDIA H100) · seed 0", "0.600", "0.520 to 0.680"),
        *("best rule 0.550 (local segment)", "$0.02 at $0.50 an hour", "queue30s", "Timeline"),
        *("ab" * 20, "changed", "+ a line", "labelled/a.parquet", "torch", "threshold 0.4"),
        *("training.epochs", "All 30 windows", "scores on validation", "2026-11-23"),
    ):
        assert words in text, words


def test_a_hostile_name_is_text_wherever_it_stands(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", num_windows=3, note=HOSTILE)
    for name, key in (("spec.json", "argv"), ("state.json", "last_lines")):
        table = json.loads((run / name).read_text())
        write(run / name, {**table, key: [HOSTILE]})
    table = json.loads((run / "result.json").read_text())
    scores = table["scores"]["validation"]
    table["baselines"] = {HOSTILE[:50]: scores}
    table["scores"]["validation"] = {**scores, HOSTILE[:50]: {"value": 1.0}}
    write(run / "result.json", {**table, "data": {"files": [{"path": HOSTILE, "sha256": "c"}]}})
    write(run / "artifacts" / "model.json", {"types": [HOSTILE[:50], "</script>"]})
    events = (run / "events.jsonl").read_text().replace('"choice"', json.dumps(HOSTILE[:50]))
    (run / "events.jsonl").write_text(events)
    page = report(read_run(run))
    tags, honest = Reader(page).tags, Reader(report(read_run(make_run(tmp_path / "calm"))))
    assert tags.count("script") == honest.tags.count("script")
    assert "img" not in tags
    assert HOSTILE not in page
    assert page.count(HOSTILE.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;")) == 3


@pytest.mark.slow
def test_a_thousand_windows_stay_below_six_megabytes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", num_windows=1000)
    page = report(read_run(run))
    assert len(page.encode()) < MAX_BYTES
    shown = re.search(r"The (\d+) worst of 1,000 windows", page)
    assert shown
    assert int(shown[1]) >= 300


def test_the_gallery_has_the_worst_first(run: Path) -> None:
    cards = plots(read_run(run))["sides"]["validation"]["gallery"]
    ious = [card["runs"][0]["iou"] for card in cards]
    assert ious == sorted(ious)
    assert len(ious) == 30


def test_the_timeline_has_the_phases_and_when_the_gpu_was_idle(run: Path) -> None:
    time = plots(read_run(run))["time"]
    assert [(phase["name"], phase["from"], phase["to"]) for phase in time["phases"]] == [
        *(("queue", 0, 30), ("start-up", 30, 40), ("training", 40, 120), ("judging", 120, 150)),
    ]
    assert time["idle"] == [[30, 45]]
    assert max(time["samples"]["GPU 0 use %"]) == 90


def test_a_run_that_failed_early_has_a_page(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    spec: dict[str, Any] = {"run_id": "run", "argv": ["python", "x.py"]}
    write(run / "spec.json", spec)
    write(run / "state.json", {"run_id": "run", "state": "FAILED", "reason": "exit code 1"})
    text = " ".join(Reader(report(read_run(run))).text.split())
    assert "failed, exit code 1" in text
    assert "This run has no scores: it wrote no result.json." in text


def test_a_failed_run_says_why_before_anything_else(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", num_windows=2)
    (run / "result.json").unlink()
    failed = {"state": "FAILED", "reason": "exit code 1", "last_lines": ["error: no such file"]}
    write(run / "state.json", {**json.loads((run / "state.json").read_text()), **failed})
    text = " ".join(Reader(report(read_run(run))).text.split())
    assert "run failed, exit code 1" in text
    assert text.index("wrote no result.json") < text.index("error: no such file")
    assert text.index("error: no such file") < text.index("Loss, total")
    assert text.count("error: no such file") == 1


def test_a_pre_training_run_is_better_the_lower_its_error(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "artifacts" / "predictions.parquet").unlink()
    error, mean = ({"reconstruction": {"value": value}} for value in (0.31, 0.34))
    table = json.loads((run / "result.json").read_text())
    del table["decoder"]
    scores = {"validation": error, "test": None}
    write(run / "result.json", {**table, "scores": scores, "baselines": {"column_mean": mean}})
    events = re.sub(
        r'"choice": [^,}]*, "context_type": [^}]*', "", (run / "events.jsonl").read_text()
    )
    (run / "events.jsonl").write_text(events.replace(", }", "}"))
    page = report(read_run(run))
    assert re.search(r'<td class="best">0\.310', page)
    assert "best rule 0.340 (column mean)" in page
    assert "decoder" not in Reader(page).text
    assert re.findall(r"<h3>(Loss[^<]*)</h3>", page) == ["Loss, total"]


def test_the_epochs_of_an_ensemble_are_those_of_several_models(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", training={"epochs": 2})
    text = Reader(report(read_run(run))).text
    assert "4 models of 2 epochs each, one after the other." in text
    assert "best epoch" not in text
    assert plots(read_run(run))["epochs"]["best"] is None


def test_a_run_of_all_windows_says_why_it_has_no_scores(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "artifacts" / "predictions.parquet").unlink()
    table = json.loads((run / "result.json").read_text())
    write(
        run / "result.json", {**table, "scores": {"validation": {}, "test": None}, "baselines": {}}
    )
    text = " ".join(Reader(report(read_run(run))).text.split())
    assert "This run has no scores: every window was trained on; --set split.vali" in text
    assert "jobs.evaluate judges it on others." in text


def test_a_run_that_was_cut_was_never_judged(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", num_windows=2)
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    (run / "events.jsonl").write_text("".join(lines[:-1]))
    phases = plots(read_run(run))["time"]["phases"]
    assert [phase["name"] for phase in phases] == ["queue", "start-up", "training"]
    assert phases[-1]["to"] == 150


def test_a_command_without_events_has_a_queue_and_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", num_windows=2)
    (run / "events.jsonl").write_text("")
    drawn = plots(read_run(run))
    assert [phase["name"] for phase in drawn["time"]["phases"]] == ["queue", "run"]
    assert drawn["time"]["samples"] == {}
    assert "Use, per cent" not in report(read_run(run))


def test_a_page_is_written_again_but_nothing_else_is_replaced(run: Path, tmp_path: Path) -> None:
    path = write_report(run)
    assert path == run / "report.html"
    assert write_report(run) == path
    other = tmp_path / "notes.html"
    other.write_text("my notes")
    with pytest.raises(ConfigError, match="not a page of moola-remote, and is not replaced"):
        write_report(run, other)
    assert other.read_text() == "my notes"
    with pytest.raises(ConfigError, match=r"can't be written, No such file"):
        write_report(run, tmp_path / "gone" / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.html"]
