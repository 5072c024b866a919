#!/usr/bin/env bash
# smartmoneyconcepts 0.0.27, smc.previous_high_low (with pandas 2.3.3)
# Guess: with time_frame="1D", each bar of the third day has the high of the second, its first bar too.
# Seen: the first bar of each day still has the level of two days ago; whether it broke the level is told by that one.
# Output, for days with highs of 110, 120 and 130 in bars of 4 hours: `third day: 110 120 120 120 120 120`.
# Hurts: who marks breaks of the previous day's high, or takes the distance to it as a feature: at the open, where gaps
# are, the level is of the wrong day; with bars of an hour and levels of 4 hours in each fourth bar.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check smartmoneyconcepts==0.0.27 pandas==2.3.3 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import pandas
from smartmoneyconcepts import smc

high = [110.0] * 6 + [120.0] * 6 + [130.0] * 6
index = pandas.date_range("2024-01-02", periods=18, freq="4h")
bars = pandas.DataFrame({"open": 100.0, "high": high, "low": 90.0, "close": 100.0, "volume": 1.0}, index=index)
third = [int(level) for level in smc.previous_high_low(bars, time_frame="1D")["PreviousHigh"].iloc[12:]]
print("third day:", *third)
raise SystemExit(third != [110, 120, 120, 120, 120, 120])
PYTHON
cd "$T"
SMC_CREDIT=0 PYTHONIOENCODING=utf-8 "$T/venv/bin/python" try.py
