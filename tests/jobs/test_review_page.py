"""The page of jobs.review in a real browser, and what jobs.windows makes of the file it saves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.review import main as review
from jobs.windows import main as windows
from moola_core.data.windows import read_windows
from tests.support.browsing import axe, expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
OWNED = "<script>document.title='owned'</script>"
WORD = 'say "a, b": 上昇 & <i>Rückzug</i>, עלייה, \\n, =1+1'
Opening = Callable[..., "Page"]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five windows of one series: 0 and 1 label the same run otherwise, 2 is a copy of 1."""
    rng = np.random.default_rng(0)
    close = 100 + rng.normal(0, 0.1, 800).cumsum()
    opened = np.r_[close[0], close[:-1]]
    high, low = np.maximum(opened, close) + 0.05, np.minimum(opened, close) - 0.05
    bars = np.stack([opened, high, low, close], 1)
    first = [100, 110, 130, 400, 600]
    spans = [(40, 49), (30, 36), (10, 16), (50, 60), (20, 25)]
    table = pa.table(
        {
            "window_id": ["w0", "w1", "w1_offset+20", f"w3{OWNED}", "w4"],
            "base_window_id": ["w0", "w1", "w1", "w3", "w4"],
            "offset": [0, 0, 20, 0, 0],
            "features": [bars[one : one + 105].tolist() for one in first],
            "label": ["up", "up", "up", OWNED, "down"],
            "expansion_start": [start for start, _ in spans],
            "expansion_end": [stop for _, stop in spans],
            "start_timestamp": pa.array(
                [1_704_205_800 + 60 * one for one in first], pa.timestamp("s", tz="UTC")
            ),
        }
    )
    path = tmp_path_factory.mktemp("labelled") / "windows.parquet"
    pq.write_table(table, path)
    return path


@pytest.fixture
def opened(chromium: Browser, labelled: Path, tmp_path: Path) -> Iterator[Opening]:
    """Writes the page and opens it, offline; at the end nothing was asked for and nothing said."""
    html, contexts = tmp_path / "review.html", []
    heard: list[str] = []
    asked: list[str] = []
    assert review([str(labelled), "--html", str(html)]) == 0

    def opening(**view: Any) -> Page:
        context = chromium.new_context(**view, offline=True, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: dialog.dismiss())
        page.on("request", lambda request: asked.append(request.url))
        page.goto(html.as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield opening
    for context in contexts:
        context.close()
    assert heard == []
    assert {url for url in asked if not url.startswith("blob:")} == {html.as_uri()}


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def saved(page: Page, path: Path, key: str = "w") -> dict[str, Any]:
    with page.expect_download() as download:
        press(page, key)
    download.value.save_as(path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_worst_comes_first_one_at_a_time(opened: Opening) -> None:
    page = opened()
    expect(page.locator("#summary")).to_contain_text("5 windows, 3 of them contradicted")
    expect(page.locator("#page")).to_have_text("window 1 of 5")
    scores, names = [], []
    for _ in range(5):
        text = page.locator("#about").inner_text()
        scores.append(float(text.rsplit(" ", 1)[1]))
        names.append(page.locator("#name").inner_text())
        assert page.locator("#chart .candle").count() == 105
        press(page, "ArrowRight")
    assert scores == sorted(scores, reverse=True)
    # Of the 10 bars 140 to 149 one label has all, the other 7: IoU 0.7.
    assert scores == [0.3, 0.3, 0.3, 0.0, 0.0]
    assert names[3] == f"w3{OWNED}"
    expect(page.locator("#page")).to_have_text("window 5 of 5")
    press(page, "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    expect(page.locator("#name")).to_have_text("w0")
    rows = page.locator("#claims tbody tr")
    assert rows.count() == 2
    expect(rows.first).to_contain_text("40 to 46")
    expect(page.locator("#about")).to_contain_text("2024-01-02 16:10:00 UTC")


def test_keys_correct_and_the_file_is_applied(
    opened: Opening, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = opened()
    press(page, "k")
    expect(page.locator("#said")).to_have_text("w0: keep")
    expect(page.locator("#name")).to_have_text("w1")
    press(page, "s", "s", "a", "f", "Shift+F", "d", "t")
    expect(page.locator("#first")).to_have_value("31")
    expect(page.locator("#last")).to_have_value("46")
    expect(page.locator("#decision")).to_have_text("changed")
    assert page.locator("#chart .was").count() == 1
    press(page, "ArrowRight", "ArrowRight", "x")
    expect(page.locator("#summary")).to_contain_text("1 kept, 1 changed, 1 dropped")
    press(page, "x", "u")
    expect(page.locator("#summary")).to_contain_text("1 kept, 1 changed, 1 dropped")
    file = saved(page, tmp_path / "corrections.json")
    assert file["schema"] == 1
    assert [(one["window_id"], one["action"]) for one in file["corrections"]] == [
        ("w0", "keep"),
        ("w1", "change"),
        (f"w3{OWNED}", "drop"),
    ]
    out = tmp_path / "corrected.parquet"
    paths = ["--windows", str(labelled), "--corrections", str(tmp_path / "corrections.json")]
    assert windows([*paths, "--out", str(out)]) == 0
    assert "corrections: 2 changed, 1 dropped" in capsys.readouterr().out
    found, _ = read_windows(out)
    assert found.window_id.tolist() == ["w0", "w1", "w1_offset+20", "w4"]
    # The copy begins 20 bars later, and follows the window that was corrected.
    assert found.spans.tolist() == [[40, 50], [31, 47], [11, 27], [20, 26]]
    word = file["corrections"][1]["label"]
    assert [found.labels[kind] for kind in found.types] == ["up", word, word, "down"]
    assert word in (OWNED, "down")


def test_fields_and_mouse_do_the_same_with_any_word(
    opened: Opening, labelled: Path, tmp_path: Path
) -> None:
    page = opened()
    page.get_by_label("First bar").fill("38")
    page.get_by_label("Last bar").fill("52")
    page.get_by_label("Type").fill(f" {WORD} ")
    page.get_by_label("Type").press("Tab")
    expect(page.locator("#decision")).to_have_text("changed")
    chart = page.locator("#chart")
    box = chart.bounding_box()
    assert box is not None
    step = (box["width"] - 72) / 105
    chart.click(position={"x": 64 + 60.5 * step, "y": 100})
    expect(page.get_by_label("Last bar")).to_have_value("60")
    page.get_by_label("Last bar").fill("10")
    page.get_by_label("Last bar").press("Tab")
    expect(page.locator("#said")).to_contain_text("expected a first bar that is not after")
    expect(page.get_by_label("Last bar")).to_have_value("60")
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Drop").click()
    page.get_by_label("Show").select_option("not decided")
    expect(page.locator("#page")).to_have_text("window 1 of 3")
    page.locator("h1").click()
    file = saved(page, tmp_path / "corrections.json")
    first, second = file["corrections"]
    assert first == {
        "window_id": "w0",
        "action": "change",
        "start": 38,
        "stop": 61,
        "label": WORD,
        "was_start": 40,
        "was_stop": 50,
        "was_label": "up",
    }
    assert (second["window_id"], second["action"]) == ("w1", "drop")
    paths = ["--windows", str(labelled), "--corrections", str(tmp_path / "corrections.json")]
    assert windows([*paths, "--out", str(tmp_path / "out.parquet")]) == 0
    found, _ = read_windows(tmp_path / "out.parquet")
    assert found.spans[0].tolist() == [38, 61]
    assert found.labels[found.types[0]] == WORD


def test_a_saved_file_is_gone_on_with(opened: Opening, tmp_path: Path) -> None:
    page = opened()
    press(page, "f", "ArrowRight", "x")
    before = saved(page, tmp_path / "corrections.json")
    page = opened()
    page.get_by_label("Go on from a saved file").set_input_files(tmp_path / "corrections.json")
    expect(page.locator("#said")).to_have_text("2 corrections read")
    expect(page.locator("#last")).to_have_value("50")
    assert saved(page, tmp_path / "again.json") == before
    (tmp_path / "x.json").write_text("[")
    page.get_by_label("Go on from a saved file").set_input_files(tmp_path / "x.json")
    expect(page.locator("#said")).to_contain_text("expected a file that this page saved")


def test_single_keys_can_be_turned_off_and_do_not_type(opened: Opening) -> None:
    page = opened()
    page.get_by_label("Type").focus()
    page.keyboard.type("x")
    expect(page.locator("#summary")).to_contain_text("0 dropped")
    page.get_by_label("single keys").uncheck()
    page.locator("h1").click()
    press(page, "x")
    expect(page.locator("#summary")).to_contain_text("0 dropped")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(opened: Opening, scheme: str) -> None:
    page = opened(color_scheme=scheme)
    press(page, "f")
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found = axe(page, options=rules)
    assert "color-contrast" in {rule["id"] for rule in found.response["passes"]}
    assert found.violations_count == 0, found.generate_report()


def test_it_fits_a_phone_and_data_is_no_code(opened: Opening) -> None:
    page = opened(**PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    press(page, "ArrowRight", "ArrowRight", "ArrowRight")
    assert page.title() == "windows.parquet · review"
    expect(page.locator("#type")).to_have_value(OWNED)


def test_its_palette_is_that_of_the_report() -> None:
    ours, theirs = (
        re.findall(r"--[\w]+: [^;]+;", (ROOT / path).read_text())
        for path in ("moola_core/plots/page/review.css", "moola_remote/report/page/style.css")
    )
    assert ours == theirs
    assert len(ours) == 28


@pytest.mark.train
def test_a_model_is_asked_too(
    small_run: Path, data: Path, tmp_path: Path, chromium: Browser
) -> None:
    html = tmp_path / "review.html"
    asked = [str(data / "labelled" / "train_210.parquet"), "--run", str(small_run)]
    assert review([*asked, "--html", str(html), "--device", "cpu"]) == 0
    page = chromium.new_page()
    page.goto(html.as_uri())
    found = page.evaluate("data.windows")
    page.close()
    assert len(found) == 210
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    for one in found:
        (model,) = [claim for claim in one["claims"] if claim["kind"] == "model"]
        assert 0 <= model["sure"] <= 1
        assert model["label"] in ("consolidation", "retracement")


def test_another_page_is_not_replaced(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    assert review([str(labelled), "--html", str(tmp_path / "mine.html")]) == 10
    assert "is not replaced; name another file" in capsys.readouterr().err
    assert review([str(labelled), "--html", str(tmp_path / "none" / "x.html")]) == 10
    assert "no such folder" in capsys.readouterr().err
