#!/usr/bin/env bash
# neurokit2 0.3.0, epochs_create (with pandas 3.1.1, numpy 2.4.6)
# Guess: with 10 samples a second, the samples of a window of -0.5 to 0.5 s are 0.1 s apart, and the event's own is at 0.
# Seen: the 10 samples are spread over both ends: they are 0.111 s apart, the event is at 0.056, the last sample at 0.5
# in place of 0.4. Output: `event at sample 50: time 0.056; step 0.111; last sample 54: time 0.500`.
# Hurts: who selects by an epoch's times, or maps a span found in them back to the signal by the rate: up to one sample
# late, the more the nearer to the end.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check neurokit2==0.3.0 pandas==3.1.1 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
import neurokit2
import pandas

bars = pandas.DataFrame({"sample": [float(number) for number in range(100)]})
(epoch,) = neurokit2.epochs_create(bars, [50], sampling_rate=10, epochs_start=-0.5, epochs_end=0.5).values()
times = {int(sample): round(float(time), 3) for time, sample in epoch["sample"].items()}
step, last = round(times[51] - times[50], 3), max(times)
print(f"event at sample 50: time {times[50]:.3f}; step {step:.3f}; last sample {last}: time {times[last]:.3f}")
raise SystemExit((times[50], step, last, times[last]) != (0.056, 0.111, 54, 0.5))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
