#!/usr/bin/env bash
# pynwb 4.2.0, TimeIntervals.add_interval(timeseries=...)
# Guess: the samples of 0.29 to 0.57 s at 100 Hz are 29 to 56, whether the series has a rate or the times themselves.
# Seen: with a rate, time times rate is cut off, and 0.29 * 100 is a little less than 29: the span begins at
# sample 28; another has one sample too few. Output: `rate: 28+28, 30+27; times: 29+28, 30+28`.
# Hurts: who fetches a span's samples by the file's index and count: labels one sample early or short, for 573 of the
# first 10000 starts that have two decimals.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check pynwb==4.2.0 numpy==2.2.6 pandas==3.1.1
cat >"$T/try.py" <<'PYTHON'
import numpy as np
from pynwb import TimeSeries
from pynwb.epoch import TimeIntervals

values = np.arange(1000.0)
rated = TimeSeries(name="rate", data=values, unit="V", starting_time=0.0, rate=100.0)
timed = TimeSeries(name="times", data=values, unit="V", timestamps=values / 100)
spans = TimeIntervals(name="spans")
for start, stop in ((0.29, 0.57), (0.3, 0.58)):
    spans.add_interval(start_time=start, stop_time=stop, timeseries=[rated, timed])
by_rate, by_times = zip(*([f"{one.idx_start}+{one.count}" for one in row] for row in spans["timeseries"][:]))
print(f"rate: {', '.join(by_rate)}; times: {', '.join(by_times)}")
raise SystemExit(by_rate != ("28+28", "30+27") or by_times != ("29+28", "30+28"))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
