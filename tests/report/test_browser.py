"""The pages in a real browser: drawn, quiet, offline, usable by keyboard, readable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moola_remote.report.index_page import write_index
from moola_remote.report.run_page import write_report
from tests.report.made import keep_epochs, make_run, write
from tests.support.browsing import axe, expect
from tests.support.pods import wait_until
from tests.support.visits import DESKTOP, INK, PHONE, VIEWS, Visiting

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.process


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("file", ["report_file", "compare_file"])
def test_every_plot_is_drawn_and_nothing_is_asked_for(
    file: str, view: str, visit: Visiting, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(file)
    there = visit(path, VIEWS[view])
    canvases = there.page.locator(".canvas")
    assert canvases.count() >= 9
    for canvas in canvases.all():
        canvas.scroll_into_view_if_needed()
        expect(canvas).to_have_attribute("data-drawn", "true")
        assert canvas.evaluate(INK) > 1500, canvas.get_attribute("aria-label")
    width = there.page.evaluate("document.documentElement.scrollWidth")
    assert width <= VIEWS[view]["viewport"]["width"]
    there.assert_quiet(path.as_uri())


def test_a_run_of_one_epoch_has_its_points_in_the_middle(tmp_path: Path, visit: Visiting) -> None:
    run = make_run(tmp_path / "run", num_windows=1)
    keep_epochs(run, 1)
    there = visit(write_report(run), DESKTOP)
    axis = "echarts.getInstanceByDom(document.querySelector('[data-plot=%s]')).getOption().xAxis[0]"
    for plot in ("loss", "tasks", "scores"):
        shown = there.page.evaluate(axis % plot)
        assert (shown["min"], shown["max"]) == (0, 2)
    there.assert_quiet((run / "report.html").as_uri())


def ious(page: Page) -> list[float]:
    names = page.locator(".card .name span:last-child").all_inner_texts()
    return [float(name.removeprefix("IoU ")) for name in names]


def test_the_gallery_sorts_filters_and_pages(report_file: Path, visit: Visiting) -> None:
    page = visit(report_file, DESKTOP).page
    expect(page.locator(".page")).to_have_text("page 1 of 4, 30 windows")
    first = ious(page)
    assert len(first) == 9
    assert first == sorted(first)
    page.get_by_role("button", name="Next").click()
    assert ious(page)[0] >= first[-1]
    page.get_by_label("Sort by").select_option("error, best first")
    expect(page.locator(".page")).to_have_text("page 1 of 4, 30 windows")
    assert ious(page) == sorted(ious(page), reverse=True)
    page.get_by_label("Show").select_option("missed (IoU < 0.5)")
    assert max(ious(page)) < 0.5
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()


def test_flipped_windows_show_both_runs(compare_file: Path, visit: Visiting) -> None:
    page = visit(compare_file, PHONE).page
    scores = page.locator(".scroll:has(> .scores)").first
    assert scores.evaluate("one => one.scrollWidth <= one.clientWidth")  # the lead is in sight
    assert page.locator(".card").count() == 4
    page.get_by_label("Show").select_option("won")
    for name in page.locator(".card .name span:last-child").all_inner_texts():
        before, after = (float(part) for part in name.removeprefix("IoU ").split(" → IoU "))
        assert before < 0.5 <= after


def test_everything_is_reached_and_read_by_keyboard(report_file: Path, visit: Visiting) -> None:
    there = visit(report_file, DESKTOP)
    page, seen = there.page, []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(120):
        seen.append(
            page.evaluate("`${document.activeElement.tagName} ${document.activeElement.className}`")
        )
        page.keyboard.press("Tab")
    for wanted in ("A ", "SUMMARY ", "SELECT sort", "SELECT filter", "BUTTON next", "DIV scroll"):
        assert wanted in seen, wanted
    assert sum(name.startswith("DIV canvas") for name in seen) >= 20
    page.locator("[data-plot=loss]").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#said")).to_have_text("epoch 1, train 3, validation 3.200")
    page.keyboard.press("End")
    expect(page.locator("#said")).to_have_text("epoch 8, train 0.375, validation 0.575")
    page.locator(".card .canvas").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#said")).to_contain_text("bar 0, open 1000")
    page.locator("summary", has_text="Numbers").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("table.points").first.locator("tbody tr")).to_have_count(8)
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".page")).to_have_text("page 2 of 4, 30 windows")
    there.assert_quiet(report_file.as_uri())


def test_hostile_text_does_nothing(tmp_path: Path, visit: Visiting) -> None:
    script = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    run = make_run(tmp_path / "<script>document.title='owned'", num_windows=3, note=script)
    write(run / "artifacts" / "model.json", {"types": [script[:60], "</script><script>x"]})
    events = (run / "events.jsonl").read_text().replace('"choice"', json.dumps(script[:60]))
    (run / "events.jsonl").write_text(events)
    there = visit(write_report(run), DESKTOP)
    for details in there.page.locator("details").all():
        details.evaluate("one => { one.open = true; }")
    there.page.locator("[data-plot=tasks]").first.hover()
    assert there.page.title() == f"{run.name} · moola"
    assert there.page.locator("img").count() == 0
    there.assert_quiet((run / "report.html").as_uri())


def test_the_policy_stops_what_the_escaping_would_have_let_through(
    report_file: Path, visit: Visiting
) -> None:
    there = visit(report_file, DESKTOP)
    there.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
            const holder = document.createElement("div");
            holder.innerHTML = "<img src='https://example.org/x.png' onerror='document.title=1'>";
            document.body.append(holder);
        }"""
    )
    wait_until(lambda: len(there.messages) >= 3)
    assert "moola" in there.page.title()
    refused = "\n".join(there.messages)
    for what in ("inline script", "inline event handler", "the image 'https://example.org/x.png'"):
        assert what in refused, refused


@pytest.fixture(scope="module")
def index_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("listed")
    for day, skill in ((1, 0.5), (2, 0.9), (3, 0.7)):
        folder = make_run(top / f"2026010{day}-000000-jade-abcd", num_windows=2, skill=skill)
        if day == 3:
            (folder / "result.json").unlink()
    write_report(top / "20260101-000000-jade-abcd")
    return write_index(top)


@pytest.mark.parametrize("view", VIEWS)
def test_the_list_of_runs_is_sorted_by_mouse_and_by_keyboard(
    index_file: Path, view: str, visit: Visiting
) -> None:
    there = visit(index_file, VIEWS[view])
    page, days = there.page, there.page.locator("tbody th")

    def shown() -> list[str]:
        return [name[6:8] for name in days.all_inner_texts()]

    assert shown() == ["03", "02", "01"]
    page.get_by_role("button", name="F1", exact=True).click()
    assert shown() == ["02", "01", "03"]  # the best first; without a score last
    page.keyboard.press("Enter")
    assert shown() == ["01", "02", "03"]
    head = page.get_by_role("columnheader", name="F1", exact=True)
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("#said")).to_have_text("sorted by F1, ascending")
    page.get_by_role("button", name="run").focus()
    page.keyboard.press("Space")
    assert shown() == ["03", "02", "01"]
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= VIEWS[view]["viewport"]["width"]
    if view.startswith("desktop"):  # a desk sees every column
        assert page.locator(".scroll").evaluate("one => one.scrollWidth <= one.clientWidth")
    found = axe(page, options={"runOnly": ["wcag2a", "wcag2aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    there.assert_quiet(index_file.as_uri())
    page.get_by_role("link", name="20260101").click()
    page.wait_for_selector("html[data-ready]")
    assert page.url.endswith("20260101-000000-jade-abcd/report.html")
