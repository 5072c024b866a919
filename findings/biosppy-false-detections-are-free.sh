#!/usr/bin/env bash
# biosppy 2.2.4, signals.ecg.compare_segmentation
# Guess: three true positions and two detections far from each are 3 TP and 2 FP; a position that is found twice is not
# better than one found once, so that "performance" (TP / len(reference)) is at most 1.
# Seen: with the default minRR, a false detection counts only before the first true one; behind it any number costs
# nothing. Two detections of one position are both true. Output:
# `2 false: TP 3, FP 0, acc 1.000; 1 twice: TP 4, FP 0, performance 1.333`.
# Hurts: who scores a detector of beats or events: the more often it fires, the better it looks, and nothing says so.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check biosppy==2.2.4 peakutils==1.3.5 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import numpy as np
from biosppy.signals.ecg import compare_segmentation

true = np.array([1000, 2000, 3000])


def score(found):
    result = compare_segmentation(reference=true, test=np.array(found), sampling_rate=1000.0, tol=0.05).as_dict()
    return result["TP"], result["FP"], round(result["acc"], 3), round(result["performance"], 3)


false, twice = score([1000, 1500, 2000, 2500, 3000]), score([1000, 1010, 2000, 3000])
print("2 false: TP {}, FP {}, acc {:.3f}".format(*false), end="; ")
print("1 twice: TP {}, FP {}, performance {:.3f}".format(*twice[:2], twice[3]))
raise SystemExit(false != (3, 0, 1.0, 1.0) or twice != (4, 0, 1.0, 1.333))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
