#!/usr/bin/env bash
# nervaluate 1.2.1, Evaluator with lists of spans
# Guess: its dicts are "prodi.gy style", so that `end` is the first position behind the span: [0, 5) and [5, 9) have
# nothing in common.
# Seen: position 5 counts to both: the answer is a partial hit, and by type a complete one; strict and exact call
# it incorrect, not spurious and missed. Output: `partial 0.5, ent_type 1.0; one position apart: 0, 0`.
# Hurts: who scores half-open spans of bars or characters, spaCy's and Prodigy's too: a model that marks the bars before
# each true span, and none of its own, has an F1 of 1 by type.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check nervaluate==1.2.1
cat >"$T/try.py" <<'PYTHON'
from nervaluate import Evaluator


def f1(end):
    true, answer = ([[{"label": "up", "start": start, "end": end}]] for start, end in ((5, 9), (0, end)))
    overall = Evaluator(true, answer, tags=["up"], loader="dict").evaluate()["overall"]
    return overall["partial"].f1, overall["ent_type"].f1


touch, apart = f1(5), f1(4)
print("partial {}, ent_type {}; one position apart: {}, {}".format(*touch, *apart))
raise SystemExit(touch != (0.5, 1.0) or any(apart))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
