#!/usr/bin/env bash
# sktime 1.2.0, performance_metrics.detection.WindowedF1Score (with pandas 2.3.3)
# Guess: "The default value of 0 results in only exact matches being counted": events compared with a copy of themselves
# have an F1 of 1 with the default margin.
# Seen: it is 0. With a margin of 1 it is 1, and so is that of events one bar off. Output:
# `copy: 0.0 with margin 0, 1.0 with margin 1; one bar off with margin 1: 1.0`.
# Hurts: who scores detected events with the defaults: each detector has 0, the perfect one too; exact matches alone
# can't be counted.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check sktime==1.2.0 pandas==2.3.3 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import pandas
from sktime.performance_metrics.detection import WindowedF1Score

true, late = (pandas.DataFrame({"ilocs": [100 + shift, 200 + shift]}) for shift in (0, 1))
seen = (
    float(WindowedF1Score()(true, true)),
    float(WindowedF1Score(margin=1)(true, true)),
    float(WindowedF1Score(margin=1)(true, late)),
)
print("copy: {} with margin 0, {} with margin 1; one bar off with margin 1: {}".format(*seen))
raise SystemExit(seen != (0.0, 1.0, 1.0))
PYTHON
cd "$T"
"$T/venv/bin/python" -W ignore try.py
