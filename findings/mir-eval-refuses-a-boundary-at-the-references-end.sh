#!/usr/bin/env bash
# mir_eval 0.8.2, segment.evaluate
# Guess: an answer that is longer than the reference is cut at the reference's end, wherever its own boundaries are.
# Seen: where one of them is at that end, a segment without a length is left, and evaluate() refuses it. A boundary that
# is 0.01 s off on either side is fine. Output:
# `at 5: ValueError: All interval durations must be strictly positive; at 4.99: fine; at 5.01: fine`.
# Hurts: who scores a corpus whose answers and labels lie on one grid (frames, bars): the whole run ends at the first
# answer that is right there.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check mir_eval==0.8.2 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
import warnings

import numpy as np
from mir_eval import segment

warnings.simplefilter("ignore")
reference, labels = np.array([[0.0, 2.0], [2.0, 5.0]]), ["flat", "up"]


def score(boundary):
    answer = np.array([[0.0, 2.0], [2.0, boundary], [boundary, 9.0]])
    try:
        segment.evaluate(reference, labels, answer, [*labels, "flat"])
    except ValueError as error:
        return f"ValueError: {error}"
    return "fine"


seen = score(5.0), score(4.99), score(5.01)
print("at 5: {}; at 4.99: {}; at 5.01: {}".format(*seen))
raise SystemExit(seen != ("ValueError: All interval durations must be strictly positive", "fine", "fine"))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
