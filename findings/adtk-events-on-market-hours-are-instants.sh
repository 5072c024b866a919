#!/usr/bin/env bash
# adtk 0.6.2 with pandas 1.5.3, events
# Guess: three bars in a row that are marked are one event, on bars with a night between them as on
# bars without; a list of events has an IoU of 1 with itself.
# Seen: the index has no frequency once it has a night; then each bar is an event without a length,
# and the IoU of the list with itself is 0 / 0.
# Output: `a day: 1 event, IoU 1.0; two days: 3 events, IoU nan`.
# Hurts: whoever scores spans of market bars with it: NaN, or counts of events that are counts of bars.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check \
    adtk==0.6.2 pandas==1.5.3 numpy==1.26.4
cat >"$T/try.py" <<'PYTHON'
import math
import warnings

import pandas as pd
from adtk.data import to_events
from adtk.metrics import iou

warnings.simplefilter("ignore")
day = pd.date_range("2024-01-02 09:30", periods=10, freq="1min")
both = day.append(day + pd.Timedelta("1D"))


def tried(index):
    marked = pd.Series(False, index=index)
    marked.iloc[3:6] = True
    events = to_events(marked)
    return len(events), iou(events, events)


one, two = tried(day), tried(both)
print(f"a day: {one[0]} event, IoU {one[1]}; two days: {two[0]} events, IoU {two[1]}")
raise SystemExit(one != (1, 1.0) or two[0] != 3 or not math.isnan(two[1]))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
