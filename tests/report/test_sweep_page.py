"""The page of a sweep: what it says, and in a real browser."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from moola_remote.sweep.page import write_page
from moola_remote.sweep.plan import SweepFolder
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import Attempt, Score
from tests.remote.sweep.test_study import plan_of
from tests.report.made import make_run
from tests.support.browsing import axe, expect
from tests.support.visits import INK, VIEWS, Visiting

pytestmark = pytest.mark.process
SKILLS = (0.3, 0.8, 0.75, 0.5)


def make_sweep(results: Path, *, has_windows: bool = True) -> SweepFolder:
    """A sweep of four complete trials, two pruned ones and one that failed."""
    spaces = ["training.learning_rate=log:3e-4..1e-2", "model.hidden_size=16,32,96"]
    plan = plan_of(
        sweep_id="20260101-000000-jade-7c1e",
        trials=7,
        recipe="jade",
        command=[],
        spaces=[*spaces, "model.input_dropout=0..0.5"],
    )
    folder = SweepFolder(results / "sweeps" / plan.sweep_id)
    folder.write_plan(plan)
    study, dice = Study(folder.journal, plan, is_writing=True), random.Random(3)
    for number in range(7):
        trial = study.ask()
        run_id = f"20260101-00000{number}-jade-t{number}-aaaa"
        study.note_attempt(number, Attempt(run_id, "local"))
        skill = SKILLS[number] if number < len(SKILLS) else 0.2
        for epoch in range(1, 9 if number < len(SKILLS) else 4):
            study.report(number, epoch, skill * (1 - 0.5**epoch) + dice.uniform(0, 0.02))
        study.note(number, "seconds", 50.0 + number)
        if number < len(SKILLS):
            if has_windows:
                make_run(results / run_id, num_windows=60, skill=skill)
            study.tell(number, "complete", Score(skill, skill - 0.1, skill + 0.1))
        elif number < 6:
            study.tell(number, "pruned", why="pruned at 3")
        else:
            study.tell(number, "failed", why="exit code 3 <script>alert(1)</script>")
        assert trial.number == number
    return folder


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("sweep") / "results"
    return write_page(make_sweep(results), results, None, 1.25)


def test_it_says_what_differs_from_the_best(sweep_file: Path) -> None:
    text = sweep_file.read_text(encoding="utf-8")
    assert "f1 of trial 1" in text
    assert "these can&#39;t be distinguished from it: 2." in text
    assert "4 done, 2 pruned, 1 failed" in text
    assert "<script>alert(1)" not in text


def test_without_windows_it_says_that_nothing_is_known(tmp_path: Path) -> None:
    page = write_page(make_sweep(tmp_path, has_windows=False), tmp_path, tmp_path / "p.html", 0.0)
    text = page.read_text(encoding="utf-8")
    assert "nothing says how far ahead it is" in text
    assert 'id="cost"' not in text


@pytest.mark.parametrize("view", VIEWS)
def test_every_plot_is_drawn(sweep_file: Path, view: str, visit: Visiting) -> None:
    there = visit(sweep_file, VIEWS[view])
    canvases = there.page.locator(".canvas")
    assert canvases.count() == 4
    for canvas in canvases.all():
        canvas.scroll_into_view_if_needed()
        expect(canvas).to_have_attribute("data-drawn", "true")
        assert canvas.evaluate(INK) > 1000, canvas.get_attribute("aria-label")
    width = there.page.evaluate("document.documentElement.scrollWidth")
    assert width <= VIEWS[view]["viewport"]["width"]
    assert axe(there.page).response["violations"] == []
    there.assert_quiet(sweep_file.as_uri())


def test_a_drag_along_an_axis_selects_trials(sweep_file: Path, visit: Visiting) -> None:
    page = visit(sweep_file, VIEWS["desktop, light"]).page
    rows = page.locator("table.index tbody tr")
    assert rows.count() == 7
    chart = "echarts.getInstanceByDom(document.querySelector('[data-plot=parallel]'))"
    page.evaluate(
        f"{chart}.dispatchAction({{type: 'axisAreaSelect', parallelAxisId: "
        f"{chart}.getModel().getComponent('parallelAxis', 3).id, intervals: [[0.7, 0.9]]}})"
    )
    expect(page.locator("#said")).to_have_text("2 of 6 trials selected")
    assert page.locator("table.index tbody tr:visible").count() == 2
    page.locator("[data-plot=parallel]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#said")).to_contain_text("trial 0, learning_rate")
    page.get_by_role("button", name="trial").click()
