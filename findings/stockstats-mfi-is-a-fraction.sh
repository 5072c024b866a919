#!/usr/bin/env bash
# stockstats 0.6.10, mfi (with TA-Lib 0.8.2, pandas 3.1.1)
# Guess: the money flow index goes from 0 to 100, as in the article that the README and the docstring give for its
# definition, as in TA-Lib, and as the library's own rsi does.
# Seen: it goes from 0 to 1, and the first 14 rows are 0.5. Output:
# `mfi 0.245, TA-Lib 24.5, rsi 43.1; first rows {0.5}`.
# Hurts: who takes the usual rule, sold out below 20 and overbought above 80: each bar is the first and none the second;
# a model with mfi beside rsi sees a constant.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check \
  stockstats==0.6.10 TA-Lib==0.8.2 pandas==3.1.1 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
import numpy as np
import pandas
import talib
from stockstats import wrap

noise = np.random.default_rng(0)
close = 100 + noise.normal(size=200).cumsum()
volume = noise.integers(100, 1000, 200).astype(float)
bars = pandas.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": volume})
theirs = wrap(bars.copy())
mfi, rsi = theirs["mfi"].to_numpy(), theirs["rsi"].to_numpy()
usual = talib.MFI(*(bars[name].to_numpy() for name in ("high", "low", "close", "volume")), timeperiod=14)
same = np.allclose(mfi[20:] * 100, usual[20:])
first = set(mfi[:14].tolist())
print(f"mfi {mfi[-1]:.3f}, TA-Lib {usual[-1]:.1f}, rsi {rsi[-1]:.1f}; first rows {first}")
raise SystemExit(not same or first != {0.5} or not 1 < rsi[-1] < 100)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
