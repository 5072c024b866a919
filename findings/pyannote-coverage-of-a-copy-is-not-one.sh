#!/usr/bin/env bash
# pyannote.metrics 4.2.0, segmentation
# Guess: spans compared with a copy of themselves have a coverage of 1, with a tolerance of 0 surely.
# Seen: spans of one type that touch are joined in the reference and not in the hypothesis.
# Output: `one type 0.556, two types 1.000` for [0, 5] and [5, 9] s; purity is 1 for both.
# Hurts: whoever ranks models by it: the one that answers exactly as labelled loses to one that
# answers a single long span.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check \
    pyannote.metrics==4.2.0 pyannote.core==6.1.0
cat >"$T/try.py" <<'PYTHON'
from pyannote.core import Annotation, Segment
from pyannote.metrics.segmentation import SegmentationCoverage, SegmentationPurity


def spans(first: str, second: str) -> Annotation:
    marked = Annotation()
    marked[Segment(0, 5)] = first
    marked[Segment(5, 9)] = second
    return marked


one, two = spans("rise", "rise"), spans("rise", "fall")
coverage = SegmentationCoverage(tolerance=0)
same, other = coverage(one, one), coverage(two, two)
purity = SegmentationPurity(tolerance=0)(one, one)
print(f"one type {same:.3f}, two types {other:.3f}, purity {purity:.3f}")
raise SystemExit(abs(same - 5 / 9) > 1e-9 or other != 1 or purity != 1)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
