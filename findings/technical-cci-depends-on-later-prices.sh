#!/usr/bin/env bash
# technical 1.7.0 (of freqtrade), qtpylib.cci (with TA-Lib 0.8.2, pandas 3.1.1)
# Guess: the commodity channel index of a bar depends on that bar and the ones before it: it is the distance to their
# mean over their mean deviation.
# Seen: it is divided by one number, the standard deviation of all means of the series, later ones too. Output:
# `rows that change: 87 of 87; last row: -0.1 and -23.9; TA-Lib: 0 of 87` for 100 quiet bars alone, and before a jump.
# Hurts: who takes features or signals at +-100 from it: each bar of the history knows how far prices will move, and a
# live series has other values there.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check technical==1.7.0 TA-Lib==0.8.2 pandas==3.1.1 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
import numpy as np
import pandas
import talib
from technical import qtpylib

past = pandas.Series(100 + 0.01 * np.random.default_rng(0).normal(size=100).cumsum())
whole = pandas.concat([past, past + 20], ignore_index=True)


def values(close):
    bars = pandas.DataFrame({"open": close, "high": close + 0.01, "low": close - 0.01, "close": close})
    return qtpylib.cci(bars)[:100], talib.CCI(bars.high, bars.low, bars.close, 14)[:100]


(alone, plain), (together, plain_together) = values(past), values(whole)
changed, plain_changed = (
    int(((one - other).abs() > 1e-6).sum()) for one, other in ((alone, together), (plain, plain_together))
)
of = alone.count()
last = f"last row: {together.iloc[-1]:.1f} and {alone.iloc[-1]:.1f}"
print(f"rows that change: {changed} of {of}; {last}; TA-Lib: {plain_changed} of {plain.count()}")
raise SystemExit(changed != of or plain_changed != 0)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
