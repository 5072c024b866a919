#!/usr/bin/env bash
# ta 0.11.0, trend.KSTIndicator (with pandas 3.1.1)
# Guess: the value of a bar depends on that bar and earlier ones; where those are missing it is NaN.
# Seen: the mean of all prices, later ones too, stands in for the missing ones: 30 of the first 44 rows. Output:
# `rows that change: 14 to 43; row 14: -86.33 and 0.01`.
# Hurts: who computes features with add_all_ta_features: the first windows of each series know where the price
# goes, and a live series has other values there than the history.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check ta==0.11.0 pandas==3.1.1
cat >"$T/try.py" <<'PYTHON'
import pandas
import ta

past = pandas.Series([100 + 0.01 * (number % 7) for number in range(100)])
whole = pandas.concat([past, past + 20], ignore_index=True)
alone, together = (ta.trend.KSTIndicator(prices).kst()[:100] for prices in (past, whole))
changed = [row for row in range(100) if pandas.notna(alone[row]) and abs(alone[row] - together[row]) > 1e-6]
row = changed[0] if changed else 0
last = changed[-1] if changed else row
print(f"rows that change: {row} to {last}; row {row}: {together[row]:.2f} and {alone[row]:.2f}")
raise SystemExit(changed != list(range(14, 44)))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
