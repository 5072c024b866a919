#!/usr/bin/env bash
# tgt 1.5, util.shift_boundaries
# Guess: `left` and `right` move one boundary each, as the docstring says ("positive values expand the tier"): a span
# of 1 to 2 s becomes 0.9 to 2 with left=0.1, and 1 to 2.1 with right=0.1.
# Seen: left moves the whole span, and the other way: it gets later, its length stays. right only moves the end of the
# tier. Output: `left: [(1.1, 2.1)], right: [(1.0, 2.0)], both: [(1.1, 2.1)]`.
# Hurts: who pads or trims labelled spans, or widens them by a tolerance before a comparison: each is shifted by the
# padding, and none is wider.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check tgt==1.5 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
from tgt import Interval, IntervalTier
from tgt.util import shift_boundaries

tier = IntervalTier(0, 10, "spans", [Interval(1, 2, "up")])


def shifted(left, right):
    spans = shift_boundaries(tier, left, right)
    return [(round(float(span.start_time), 3), round(float(span.end_time), 3)) for span in spans]


seen = shifted(0.1, 0), shifted(0, 0.1), shifted(0.1, 0.1)
print("left: {}, right: {}, both: {}".format(*seen))
raise SystemExit(seen != ([(1.1, 2.1)], [(1.0, 2.0)], [(1.1, 2.1)]))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
