#!/usr/bin/env bash
# pytrendseries 0.1.13, detecttrend (with pandas 2.3.3)
# Guess: "Valley Date" and "Peak Date" of an upward trend are the dates of its two bars, index_valley and index_peak,
# the valley first.
# Seen: the date is that of the last bar that has the same price; the index is right. Output:
# `bars 40 to 50, dates of bars 60 to 50` for a rise of 10 bars at 140 to 150, where the price falls to 140 later.
# Hurts: who labels bars by these dates: prices come in ticks, so that they recur; spans begin at another bar, or end
# before they begin.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check pytrendseries==0.1.13 pandas==2.3.3 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import pandas
from pytrendseries import detecttrend

prices = [*range(100, 150), *range(150, 120, -1), *range(120, 181)]
bars = pandas.DataFrame({"close": prices}, index=pandas.date_range("2024-01-01", periods=len(prices)), dtype=float)
trends = detecttrend(bars, trend="uptrend", limit=5, window=21)
trend = trends[trends["index_peak"] == 50].iloc[0]
index = int(trend["index_valley"]), int(trend["index_peak"])
dates = tuple(bars.index.get_loc(trend[name]) for name in ("Valley Date", "Peak Date"))
print("bars {} to {}, dates of bars {} to {}".format(*index, *dates))
raise SystemExit(index != (40, 50) or dates != (60, 50))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
