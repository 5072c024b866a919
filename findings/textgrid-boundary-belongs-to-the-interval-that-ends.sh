#!/usr/bin/env bash
# textgrid 1.6.1, IntervalTier.intervalContaining
# Guess: of two intervals that touch at 1.0, time 1.0 is in the one that begins there, as half-open spans have it.
# Seen: it is in the one that ends there; the very first time is in the interval that begins. Output:
# `0.0: flat, 1.0: flat, 1.5: up`.
# Hurts: who labels bars by their opening times from a TextGrid: each span begins one bar late and ends one bar
# late.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check textgrid==1.6.1
cat >"$T/try.py" <<'PYTHON'
import textgrid

tier = textgrid.IntervalTier("labels", 0, 2)
tier.add(0, 1, "flat")
tier.add(1, 2, "up")
marks = {time: tier.intervalContaining(time).mark for time in (0.0, 1.0, 1.5)}
print(", ".join(f"{time}: {mark}" for time, mark in marks.items()))
raise SystemExit(marks != {0.0: "flat", 1.0: "flat", 1.5: "up"})
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
