#!/usr/bin/env bash
# trend_classifier 0.3.3, Segmenter
# Guess: the segments' `stop` ("Stop index of the segment") is of one kind, the last bar or the one behind it, whatever
# the segment and the detector.
# Seen: with sliding_window, the default, it is the last bar of each segment but the last, and there the number of bars;
# with bottom_up it is the bar behind each. Output, for 150 bars:
# `sliding_window: 0-28 29-47 48-150; bottom_up joins: True`.
# Hurts: who labels bars by segments: slices leave out a bar at each boundary, indices go beyond the end, and another
# detector is off by one against it.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check trend_classifier==0.3.3 pandas==3.1.1 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
from trend_classifier import Segmenter

prices = [float(price) for price in (*range(50), *range(50, 0, -1), *range(50))]


def bounds(detector):
    segments = Segmenter(x=list(range(len(prices))), y=prices, detector=detector).fit_detect().segments
    return [(int(segment.start), int(segment.stop)) for segment in segments]


sliding, bottom_up = bounds("sliding_window"), bounds("bottom_up")
joins = all(stop == start for (_, stop), (start, _) in zip(bottom_up, bottom_up[1:]))
print("sliding_window:", " ".join(f"{start}-{stop}" for start, stop in sliding), end="; ")
print(f"bottom_up joins: {joins}")
raise SystemExit(sliding != [(0, 28), (29, 47), (48, 150)] or not joins or bottom_up[-1][1] != 150)
PYTHON
cd "$T"
MPLCONFIGDIR=$T "$T/venv/bin/python" try.py
