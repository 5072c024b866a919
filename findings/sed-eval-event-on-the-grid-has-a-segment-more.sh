#!/usr/bin/env bash
# sed_eval 0.2.1, SegmentBasedMetrics with time_resolution=0.1 (dcase_util 0.2.20)
# Guess: an event of 0.3 to 0.6 s is three segments, one of 0.2 to 0.6 four: the F of one against the other is 6/7.
# Seen: 0.3 / 0.1 is a little less than 3 and rounded down, so that both are the same four. Output:
# `0.3-0.6: 4 segments, F 1.000; 0.4-0.6: 2 segments, F 0.667 (of an answer one segment early)`.
# Hurts: who scores spans of frames or bars in seconds: whether an answer that is one frame early costs anything
# depends on where the event lies; for 348 of the first 1000 multiples of 0.1 it is free.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check sed_eval==0.2.1 dcase_util==0.2.20 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
from dcase_util.containers import MetaDataContainer
from sed_eval.sound_event import SegmentBasedMetrics


def score(start):
    true, early = (
        MetaDataContainer([{"filename": "a.wav", "onset": onset, "offset": 0.6, "event_label": "up"}])
        for onset in (start, round(start - 0.1, 1))
    )
    metric = SegmentBasedMetrics(["up"], time_resolution=0.1)
    metric.evaluate(true, early)
    return int(metric.overall["Nref"]), round(float(metric.results_overall_metrics()["f_measure"]["f_measure"]), 3)


third, fourth = score(0.3), score(0.4)
texts = [f"{start}-0.6: {n} segments, F {f:.3f}" for start, (n, f) in ((0.3, third), (0.4, fourth))]
print("; ".join(texts), "(of an answer one segment early)")
raise SystemExit(third != (4, 1.0) or fourth != (2, 0.667))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
