#!/usr/bin/env bash
# quantstats 0.0.86, utils.aggregate_returns and stats.best(aggregate="W") (with pandas 3.1.1)
# Guess: 30 and 31 December 2024 count to the week that ends on 3 January 2025, or to one of their own.
# Seen: they count to the week of 1 to 5 January 2024: the year is the calendar's and the week is ISO's, which is 1.
# empyrical-reloaded 0.7.1 puts them into 2025. Output: `first week of 2024: 0.0605, best week 0.0605` for 1 % on
# 2 January 2024, 5 % on 30 December and 2 % on 2 January 2025, where the best week is one of 0.071.
# Hurts: who reads best and worst week, win rate or average by week of a strategy: in three years of seven, one to three
# days are in a week 51 weeks earlier.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check quantstats==0.0.86 pandas==3.1.1 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import pandas
import quantstats

returns = pandas.Series(0.0, index=pandas.bdate_range("2024-01-01", "2025-01-10"))
returns[["2024-01-02", "2024-12-30", "2025-01-02"]] = 0.01, 0.05, 0.02
first = quantstats.utils.aggregate_returns(returns, "W").iloc[0]
best = quantstats.stats.best(returns, aggregate="W")
print(f"first week of 2024: {first:.4f}, best week {best:.4f}")
raise SystemExit(not abs(first - 0.0605) < 1e-9 > abs(best - 0.0605))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
