#!/usr/bin/env bash
# pynapple 0.11.4, count(bin_size, ep) and bin_average
# Guess: what is counted in bins adds up to what is counted by epoch, whatever the size of the bins.
# Seen: an event at an epoch's last time is in the epoch, and in no bin that would begin there; a last bin that the
# epoch's end cuts is left out with all that is in it, or counted, by its size. bin_average does the same. Output, for
# two epochs of 5 bars: `by epoch 10; bins of 1, 3, 5 s: 8, 6, 10; average without bars 4 and 14`.
# Hurts: who bins bars or samples by labelled spans: the last bar of each span is missing, or the last few, and nothing
# says so.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check pynapple==0.11.4 numpy==2.4.6 pandas==3.1.1
cat >"$T/try.py" <<'PYTHON'
import numpy as np
import pynapple

bars, spans = np.arange(20.0), pynapple.IntervalSet([0, 10], [4, 14])
events, values = pynapple.Ts(bars), pynapple.Tsd(bars, bars)
by_epoch = int(events.count(ep=spans).values.sum())
by_bin = [int(events.count(size, ep=spans).values.sum()) for size in (1, 3, 5)]
kept = {int(bar) for bar in values.bin_average(1, ep=spans).values}
lost = sorted({int(bar) for bar in values.restrict(spans).values} - kept)
print("by epoch {}; bins of 1, 3, 5 s: {}, {}, {}; average without bars {} and {}".format(by_epoch, *by_bin, *lost))
raise SystemExit((by_epoch, by_bin, lost) != (10, [8, 6, 10], [4, 14]))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
