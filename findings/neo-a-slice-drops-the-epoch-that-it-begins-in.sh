#!/usr/bin/env bash
# neo 0.14.6 (quantities 0.16.4), Segment.time_slice and Epoch.time_slice
# Guess: an epoch that reaches over an end of the slice is kept and clipped there, as the signal is.
# Seen: its start alone decides. The epoch in whose middle the slice begins is dropped, and the one in whose
# middle it ends keeps its whole duration, beyond the last sample.
# Output: `signal 5 to 9 s, epochs [(8, 13)]` for epochs of 4 to 7 and 8 to 13 s.
# Hurts: who cuts a labelled recording into windows: the first bars of a window lose their label, so that
# they are taught as background, and a span's end lies outside its window.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check neo==0.14.6 quantities==0.16.4 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import numpy as np
import quantities as pq
from neo import AnalogSignal, Epoch, Segment

recording = Segment()
recording.analogsignals.append(AnalogSignal(np.zeros((200, 1)), units="V", sampling_rate=10 * pq.Hz))
recording.epochs.append(Epoch(times=[4, 8] * pq.s, durations=[3, 5] * pq.s, labels=["T", "T"]))
window = recording.time_slice(5 * pq.s, 9 * pq.s)
(signal,), (epochs,) = window.analogsignals, window.epochs
spans = [(int(start), int(start + length)) for start, length in zip(epochs.times.magnitude, epochs.durations.magnitude)]
print(f"signal {float(signal.t_start):g} to {float(signal.t_stop):g} s, epochs {spans}")
raise SystemExit(spans != [(8, 13)] or float(signal.t_start) != 5 or float(signal.t_stop) != 9)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
