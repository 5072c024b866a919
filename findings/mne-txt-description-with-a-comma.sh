#!/usr/bin/env bash
# MNE-Python 1.13.2, Annotations.save and read_annotations, .txt
# Guess: labels that MNE has saved are read by MNE, whatever their words; a comma is quoted, as it is in .csv.
# Seen: a description with a comma stands bare among commas, and the whole file can't be read again, its other
# labels neither: "the number of columns changed", or where each has a comma "Invalid value for the 'text header
# len'". Nothing is said at saving. Output: `1.0,0.5,spike, big`, then `ValueError`; .csv: ['spike, big', 'plain'].
# Hurts: who marks spans in MNE and writes what they see: the file of an evening's labels is found to be unreadable
# days later. (Saved as .csv, words are whole, but onsets without a date come back counted from the first of them.)
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check mne==1.13.2 numpy==2.2.6 pandas==3.1.1
cat >"$T/try.py" <<'PYTHON'
from pathlib import Path

import mne

mne.set_log_level("ERROR")


def read_back(words, kind):
    name = f"labels-annot.{kind}"
    mne.Annotations([1.0, 2.0], [0.5, 0.5], words).save(name, overwrite=True)
    try:
        return mne.read_annotations(name).description.tolist()
    except ValueError as err:
        return f"ValueError: {err}"


one = read_back(["spike, big", "plain"], "txt")
line = Path("labels-annot.txt").read_text().splitlines()[2]
each = read_back(["spike, big", "wave, small"], "txt")
table = read_back(["spike, big", "plain"], "csv")
print(f"{line!r}\n{one}\n{each}\n.csv: {table}")
failed = all(isinstance(answer, str) for answer in (one, each))
raise SystemExit(line != "1.0,0.5,spike, big" or not failed or table != ["spike, big", "plain"])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
