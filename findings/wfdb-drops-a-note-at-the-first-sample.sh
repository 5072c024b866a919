#!/usr/bin/env bash
# wfdb 4.3.1, wrann and rdann
# Guess: a note (symbol `"`) at sample 0 is read back like one at sample 5.
# Seen: it is gone; only the file's own note about the sampling rate stands at sample 0 as a rule, and each note
# there is taken for it. Output: `written: [0, 5], read: [5]; from sample 1: [1, 5]`.
# Hurts: who labels windows from their first bar: `"` at 0, with the label as text, is lost, and numbers of
# annotations no longer agree.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check wfdb==4.3.1 numpy==2.4.6 pandas==3.1.1
cat >"$T/try.py" <<'PYTHON'
import numpy
import wfdb


def read_back(samples):
    wfdb.wrann("labels", "atr", numpy.array(samples), ['"', '"'], fs=1, aux_note=["up", "down"])
    return wfdb.rdann("labels", "atr").sample.tolist()


first, later = read_back([0, 5]), read_back([1, 5])
print(f"written: [0, 5], read: {first}; from sample 1: {later}")
raise SystemExit(first != [5] or later != [1, 5])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
