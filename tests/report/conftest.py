"""Pages in the browser of the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moola_remote.report.compare_page import write_comparison
from moola_remote.report.comparison import compare_runs
from moola_remote.report.run_files import read_run
from moola_remote.report.run_page import write_report
from tests.report.made import make_run
from tests.support.visits import Visit, Visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visiting]:
    """Opens a file, offline, and waits until its script has run."""
    contexts = []

    def opened(path: Path, view: dict[str, Any]) -> Visit:
        context = chromium.new_context(**view, offline=True)
        contexts.append(context)
        visit = Visit(context.new_page())
        visit.page.on("console", lambda message: visit.messages.append(message.text))
        visit.page.on("pageerror", lambda error: visit.messages.append(str(error)))
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.goto(path.as_uri())
        visit.page.wait_for_selector("html[data-ready]")
        return visit

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("runs") / "20260101-000000-jade-abcd"))


@pytest.fixture(scope="module")
def compare_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("compared")
    runs = [make_run(top / f"run{skill}", skill=skill, note=skill) for skill in (0.3, 0.8)]
    write_comparison(compare_runs([read_run(run) for run in runs]), top / "compare.html")
    return top / "compare.html"
