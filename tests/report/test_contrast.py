"""The contrast of what pages draw, by WCAG, and their colour schemes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.browsing import axe
from tests.support.pods import wait_until
from tests.support.visits import DESKTOP, Visiting

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.process


# What each canvas is drawn with: colours of words and of marks, and how opaque a mark is. Lines of
# the grid and areas under a line are decoration, as the line and its axis show the same.
COLOURS = """
() => [...document.querySelectorAll(".canvas")].flatMap((canvas) => {
  const option = echarts.getInstanceByDom(canvas).getOption();
  const axes = [...option.xAxis, ...option.yAxis].filter((axis) => axis.show !== false);
  const words = [
    ...axes.flatMap((axis) => [axis.axisLabel.color, axis.name && axis.nameTextStyle.color]),
    ...(option.legend || []).filter((one) => one.show).map((one) => one.textStyle.color),
    ...option.tooltip.map((one) => one.textStyle.color),
    ...option.series.flatMap((one) => [one.markLine, one.markPoint])
      .filter((mark) => mark && mark.data.length).map((mark) => mark.label.color),
  ];
  const marks = option.series.filter((one) => one.type !== "custom").map((one, i) => [
    one.itemStyle?.borderColor || one.color || option.color[i % option.color.length],
    one.lineStyle?.opacity ?? one.itemStyle?.opacity ?? 1,
  ]);
  return [
    ...words.filter(Boolean).map((color) => ["word", color, 1]),
    ...marks.map(([color, opacity]) => ["mark", color, opacity]),
  ];
})
"""


EDGES = (
    "() => { const t = theme(); return [t.truth, ...t.runs].map((color) => ['mark', color, 1]); }"
)


LEAST = {"word": 4.5, "mark": 3.0}  # WCAG 2.1, 1.4.3 and 1.4.11


@pytest.mark.parametrize(
    ("file", "scheme"),
    [("report_file", "light"), ("report_file", "dark"), ("compare_file", "light")],
)
def test_it_is_accessible_and_its_contrast_is_enough(
    file: str, scheme: str, visit: Visiting, request: pytest.FixtureRequest
) -> None:
    there = visit(request.getfixturevalue(file), {**DESKTOP, "color_scheme": scheme})
    for details in [
        *there.page.locator(".numbers").all()[:2],
        *there.page.locator("#facts > details").all(),
    ]:
        details.evaluate("one => { one.open = true; }")
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found = axe(there.page, options=rules)
    assert "color-contrast" in {rule["id"] for rule in found.response["passes"]}
    assert found.violations_count == 0, found.generate_report()


def luminance(rgb: tuple[float, ...]) -> float:
    """Relative, of sRGB in 0..1; WCAG 2.1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(color: str, paper: str, opacity: float = 1.0) -> float:
    top, below = ([int(one[i : i + 2], 16) / 255 for i in (1, 3, 5)] for one in (color, paper))
    seen = tuple(opacity * a + (1 - opacity) * b for a, b in zip(top, below, strict=True))
    light, dark = sorted((luminance(seen), luminance(tuple(below))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#000000", "#ffffff", 0.0) == 1.0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("file", ["report_file", "compare_file"])
def test_what_a_canvas_draws_stands_out_from_the_paper(
    file: str, scheme: str, visit: Visiting, request: pytest.FixtureRequest
) -> None:
    page = visit(request.getfixturevalue(file), {**DESKTOP, "color_scheme": scheme}).page
    paper = page.evaluate("theme().paper")
    drawn = {tuple(one) for one in page.evaluate(COLOURS) + page.evaluate(EDGES)}
    assert {kind for kind, _, _ in drawn} == set(LEAST)
    faint = [one for one in drawn if contrast(one[1], paper, one[2]) < LEAST[one[0]]]
    assert faint == []


def test_the_plots_follow_the_colour_scheme(report_file: Path, visit: Visiting) -> None:
    page = visit(report_file, DESKTOP).page
    background = "getComputedStyle(document.body).backgroundColor"
    ink = "echarts.getInstanceByDom(document.querySelector('[data-plot]')).getOption().color[0]"
    light = page.evaluate(background), page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    wait_until(lambda: page.evaluate(ink) != light[1])
    assert page.evaluate(background) != light[0]
