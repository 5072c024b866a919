"""What the pages of fetched runs cost: seconds, CPU and bytes, on made runs.

    python benchmarks/pages.py

Where plotly is installed (it is no dependency) it draws the windows of the same gallery, candles
and soft mask of each, in one self-contained file. Where Chromium is, it prints the time to open it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from moola_remote.report.compare_page import write_comparison
from moola_remote.report.comparison import compare_runs
from moola_remote.report.index_page import write_index
from moola_remote.report.plot_data import plots
from moola_remote.report.run_files import read_run
from moola_remote.report.run_page import write_report
from tests.report.made import make_run
from tests.support.browsing import find_chromium

WINDOWS = (20, 1000, 2000)
NUM_LISTED = 300


def main() -> None:
    """Make runs, then their pages, and print what each took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("| page | seconds | CPU s | MB | drawn in Chromium, s |")
        print("|---|---|---|---|---|")
        for number in WINDOWS:
            run = make_run(folder / f"of{number}", num_windows=number)
            _print_time(f"run of {number} windows", partial(write_report, run))
            _print_time("the windows that it shows, by plotly", partial(_by_plotly, run))
        pair = [folder / "of1000", make_run(folder / "rival", num_windows=1000, skill=0.8)]
        _print_time("two runs of 1000 windows compared", partial(_compared, pair))
        for number in range(NUM_LISTED):
            make_run(folder / "results" / f"20260101-{number:06}-jade-abcd", num_windows=1)
        _print_time(f"list of {NUM_LISTED} runs", partial(write_index, folder / "results"))


def _print_time(what: str, make: Callable[[], Path | None]) -> None:
    begun, cpu = time.perf_counter(), time.process_time()
    page = make()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    if page is not None:
        size = page.stat().st_size / 1e6
        print(f"| {what} | {seconds:.2f} | {cpu:.2f} | {size:.2f} | {_drawn(page)} |", flush=True)


def _compared(folders: list[Path]) -> Path:
    page = folders[0].with_name("compare.html")
    write_comparison(compare_runs([read_run(folder) for folder in folders]), page)
    return page


def _by_plotly(run: Path) -> Path | None:
    try:
        from plotly import graph_objects, io
        from plotly.subplots import make_subplots
    except ImportError:
        return None
    parts: list[str] = []
    for card in plots(read_run(run))["sides"]["validation"]["gallery"]:
        bars: list[Any] = list(zip(*card["bars"], strict=True))
        names = ("open", "close", "low", "high")
        figure = make_subplots(rows=2, cols=1, shared_xaxes=True)
        figure.add_trace(graph_objects.Candlestick(**dict(zip(names, bars, strict=True))), 1, 1)
        figure.add_trace(graph_objects.Scatter(y=card["runs"][0]["probs"]), 2, 1)
        figure.add_vrect(*card["true"])
        parts.append(io.to_html(figure, full_html=False, include_plotlyjs=not parts))
    page = run.with_name(f"{run.name}-plotly.html")
    ready = "<script>document.documentElement.dataset.ready = true</script>"
    page.write_text("<!doctype html><meta charset=utf-8>" + "".join(parts) + ready)
    return page


def _drawn(page: Path) -> str:
    path = find_chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return "-"
    if path is None:
        return "-"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        there = browser.new_page()
        begun = time.perf_counter()
        there.goto(page.as_uri())
        there.wait_for_selector("html[data-ready]", state="attached")
        seconds = time.perf_counter() - begun
        browser.close()
    return f"{seconds:.2f}"


if __name__ == "__main__":
    main()
