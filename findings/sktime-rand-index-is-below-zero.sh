#!/usr/bin/env bash
# sktime 1.2.0, performance_metrics.detection.RandIndex (with pandas 2.3.3)
# Guess: with X given, so that the length is known, the index is the share of pairs of bars on which both agree, and
# "between 0 and 1": 0.624 for one change at 200 against one at 100, in 400 bars.
# Seen: it is less, down to below 0, the further the change is off; without a mistake it is 1. Output:
# `200 and 100: 0.499 (0.624); 50 and 350: -0.504 (0.624); 200 and 200: 1.000 (1.000)`, by hand in brackets.
# Hurts: who ranks detectors of change points by it, or averages it over series: no value but 1 is comparable with
# another tool's, and one bad series takes two good ones down.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check sktime==1.2.0 pandas==2.3.3 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import numpy as np
import pandas
from sktime.performance_metrics.detection import RandIndex

bars = 400
series = pandas.DataFrame({"close": np.zeros(bars)})


def theirs(*changes):
    one, other = (pandas.DataFrame({"ilocs": [change]}) for change in changes)
    return round(float(RandIndex()(one, other, series)), 3)


def by_hand(*changes):
    first, second = (np.arange(bars) >= change for change in changes)
    agree = (first[:, None] == first) == (second[:, None] == second)
    return round(float(agree[np.triu_indices(bars, 1)].mean()), 3)


cases = [(200, 100), (50, 350), (200, 200)]
seen, true = [theirs(*case) for case in cases], [by_hand(*case) for case in cases]
rows = zip(cases, seen, true)
print("; ".join(f"{one} and {other}: {value:.3f} ({pairs:.3f})" for (one, other), value, pairs in rows))
raise SystemExit(seen != [0.499, -0.504, 1.0] or true[0] != 0.624)
PYTHON
cd "$T"
"$T/venv/bin/python" -W ignore try.py
