#!/usr/bin/env bash
# ruptures 1.1.10, metrics.precision_recall
# Guess: with margin=3, "allowed error (in points)", a change point that is 3 bars off is a hit.
# Seen: the error has to be below the margin: 3 bars off is a miss, and margin=1 asks for the exact bar.
# Output: `off by 3: margin 3 (0.0, 0.0), margin 4 (1.0, 1.0); off by 1: margin 1 (0.0, 0.0)`.
# Hurts: who compares detectors by "ends within 3 bars": ruptures counts those within 2, so the same answers
# score lower than in every tool that counts the distance itself.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check ruptures==1.1.10 numpy==2.2.6 scipy==1.15.3
cat >"$T/try.py" <<'PYTHON'
from ruptures.metrics import precision_recall

three, four = (precision_recall([50, 105], [53, 105], margin=margin) for margin in (3, 4))
one = precision_recall([50, 105], [51, 105], margin=1)
print(f"off by 3: margin 3 {three}, margin 4 {four}; off by 1: margin 1 {one}")
raise SystemExit((three, four, one) != ((0.0, 0.0), (1.0, 1.0), (0.0, 0.0)))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
