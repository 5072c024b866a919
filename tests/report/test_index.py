"""``results/index.html``: every fetched run, safe to open, and opened when that is asked for."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from moola_remote.errors import ConfigError
from moola_remote.report import index_page
from moola_remote.report.index_page import write_index
from moola_remote.report.run_files import RunFiles, read_run
from tests.report.made import make_run
from tests.support.projects import Project, make_project

pytestmark = pytest.mark.process

NAMES = ("20260101-120000-jade-aaaa", "20260103-120000-jade-cccc", "20260102-120000-jade-bbbb")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for skill, name in zip((0.5, 0.7, 0.6), NAMES, strict=True):
        make_run(tmp_path / "results" / name, num_windows=2, skill=skill)
    (tmp_path / "results" / NAMES[0] / "report.html").write_text("a page")
    return tmp_path / "results"


def rows_of(folder: Path) -> list[str]:
    body = write_index(folder).read_text(encoding="utf-8").partition("<tbody>")[2]
    return re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)


def test_every_run_has_a_row_the_newest_first(results: Path) -> None:
    rows = rows_of(results)
    found = [name for row in rows for name in NAMES if name in row]
    assert found == sorted(NAMES, reverse=True)
    assert f'<a href="{NAMES[0]}/report.html">' in rows[2]
    assert "<a " not in rows[0] + rows[1]
    for row, f1 in zip(rows, ("0.700", "0.600", "0.500"), strict=True):
        assert f">{f1}<small>" in row
        assert 'data-order="120.0">2m 00s' in row
        assert ">$0.02" in row


def test_a_run_that_is_broken_or_unfinished_is_listed_all_the_same(results: Path) -> None:
    (results / NAMES[0] / "result.json").write_text("{")
    (results / NAMES[1] / "state.json").unlink()
    (results / NAMES[2] / "result.json").unlink()
    assert len(rows_of(results)) == 3


def test_a_run_more_reads_no_other_again(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rows_of(results)
    read: list[str] = []

    def noting(folder: Path, **options: bool) -> RunFiles:
        read.append(folder.name)
        return read_run(folder, **options)

    monkeypatch.setattr(index_page, "read_run", noting)
    assert rows_of(results) == first
    assert read == []
    make_run(results / "20260104-120000-jade-dddd", num_windows=2, skill=0.4)
    assert rows_of(results)[1:] == first
    assert read == ["20260104-120000-jade-dddd"]
    # What has changed is read again, what is gone is forgotten.
    path = results / NAMES[1] / "result.json"
    path.write_text(path.read_text().replace('"recipe": "', '"recipe": "new-'))
    shutil.rmtree(results / NAMES[2])
    rows = rows_of(results)
    assert read[1:] == [NAMES[1]]
    assert len(rows) == 3
    assert "new-" in rows[1]
    assert NAMES[2] not in (results / ".index.json").read_text()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": "1 0.1.0", "rows": {"x": 1}}'])
def test_a_broken_memory_counts_as_none(results: Path, content: str) -> None:
    first = rows_of(results)
    (results / ".index.json").write_text(content)
    assert rows_of(results) == first


def test_a_row_that_is_no_row_is_made_anew(results: Path) -> None:
    first = rows_of(results)
    memory = json.loads((results / ".index.json").read_text())
    for row, damage in zip(memory["rows"].values(), ([1], None, {"text": 1}), strict=True):
        row["facts"] = damage
    (results / ".index.json").write_text(json.dumps(memory))
    assert rows_of(results) == first


def test_no_runs_make_an_empty_table(tmp_path: Path) -> None:
    assert rows_of(tmp_path) == []


def test_what_a_pod_wrote_is_text(results: Path) -> None:
    evil = "</td><script>alert(1)</script>"
    path = results / NAMES[0] / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "recipe": evil, "device": evil}))
    (results / NAMES[1]).rename(results / "2026-<img src=x onerror=alert(1)>")
    page = write_index(results).read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert "<img" not in page
    assert len(re.findall(r"<script", page)) == 2  # the data, which is null, and the sorting


def test_nothing_is_loaded_and_only_our_script_may_run(results: Path) -> None:
    page = write_index(results).read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;;" in policy
    assert "default-src &#39;none&#39;" in policy
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert len(page) < 40_000


def test_a_page_of_the_users_own_is_left_alone(results: Path) -> None:
    (results / "index.html").write_text("mine")
    with pytest.raises(ConfigError, match="not a page of moola-remote"):
        write_index(results)
    assert (results / "index.html").read_text() == "mine"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = make_project(tmp_path / "project", tmp_path / "state")
    make_run(project.folder / "results" / NAMES[0], num_windows=2)
    return project


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("index --open", "results/index.html"),
        ("report --out a.html --open", "a.html"),
        ("compare 2026 2026 --html b.html --open", "b.html"),
    ],
)
def test_any_page_can_be_opened(project: Project, words: str, name: str) -> None:
    browser = project.write("browser", '#!/bin/sh\nprintf %s "$1" >opened\n')
    browser.chmod(0o755)
    project.env["BROWSER"] = f"{browser} %s"
    project.ok(*words.split())
    assert (project.folder / "opened").read_text() == (project.folder / name).as_uri()


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["report"], f"writing the page of {NAMES[0]}"),
        (["compare", "--html", "b.html"], "writing b.html"),
        (["index"], "writing the list of runs"),
    ],
)
def test_a_page_that_takes_long_is_reported_on_a_terminal_alone(
    project: Project, words: list[str], reported: str
) -> None:
    assert reported not in project.run(*words).stderr
    project.env["FORCE_COLOR"] = "1"  # rich's word for a terminal
    assert reported in project.run(*words).stderr


def test_open_needs_a_page(project: Project) -> None:
    assert "expected --html FILE" in project.refused(2, "compare", "--open")


def test_without_a_browser_it_says_where_the_page_is(project: Project, tmp_path: Path) -> None:
    project.env |= {"BROWSER": str(tmp_path / "no-browser %s"), "PATH": "/nowhere", "DISPLAY": ""}
    done = project.run("index", "--open")
    assert done.returncode == 0
    assert "no browser was found; open it yourself:" in done.stderr
