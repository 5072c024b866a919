#!/usr/bin/env bash
# finta 1.3, TA.QSTICK (with pandas 2.3.3)
# Guess: "the average open to close change for each of past N days": the mean of the last 14 bodies, at each bar from
# the 14th on.
# Seen: a bar's own body divided by 14, for the last 14 rows of the frame alone; the rows before have no value. Output:
# `rows with a value: 14 of 100; last: 0.143, mean of 14 bodies: -1.714`.
# Hurts: who takes it as a feature or a signal: the sign is that of the last bar, not of two weeks, and each bar of the
# history but the last 14 is missing.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check finta==1.3 pandas==2.3.3 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import pandas
from finta import TA

bodies = [-2.0] * 99 + [2.0]
bars = pandas.DataFrame({"open": 100.0, "high": 103.0, "low": 97.0, "close": [100 + body for body in bodies]})
qstick = TA.QSTICK(bars, 14)
mean = sum(bodies[-14:]) / 14
print(f"rows with a value: {qstick.count()} of {len(bars)}; last: {qstick.iloc[-1]:.3f}, mean of 14 bodies: {mean:.3f}")
raise SystemExit((int(qstick.count()), round(float(qstick.iloc[-1]), 3), round(mean, 3)) != (14, 0.143, -1.714))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
