#!/usr/bin/env bash
# backtesting 0.6.6, statistics of intraday bars (with pandas 3.0.6)
# Guess: "Return (Ann.) [%]" of a run that lost money is below zero, as "Return [%]" is.
# Seen: it is made of changes from the end of one day to the end of the next, so that what the first day brought is in
# none of them, nor in volatility, Sharpe and Sortino ratio. Output:
# `Return -8.0 %, a year +87.6 %, Sharpe above 0: True` for a day that falls by 10 % and nine that rise by 0.25 % each.
# Hurts: who backtests on minutes and picks strategies by annual return or Sharpe ratio: a tenth of ten days, or most of
# what they brought, is missing; of two days the ratio is NaN.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check backtesting==0.6.6 pandas==3.0.6 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
import numpy as np
import pandas
from backtesting import Backtest, Strategy

days, minutes = pandas.bdate_range("2024-01-02", periods=10), 390
index = pandas.DatetimeIndex(
    [day + pandas.Timedelta(hours=9, minutes=30 + minute) for day in days for minute in range(minutes)]
)
changes = np.zeros(len(index))
for number in range(len(days)):
    changes[number * minutes + 5 : (number + 1) * minutes] = np.log(0.9 if number == 0 else 1.0025) / (minutes - 5)
close = 100 * np.exp(changes.cumsum())
bars = pandas.DataFrame({"Open": close, "High": close, "Low": close, "Close": close}, index=index)


class Hold(Strategy):
    def init(self):
        pass

    def next(self):
        if len(self.data) == 2:
            self.buy()


result = Backtest(bars, Hold, cash=1_000_000, finalize_trades=True).run()
total, annual, sharpe = (float(result[name]) for name in ("Return [%]", "Return (Ann.) [%]", "Sharpe Ratio"))
print(f"Return {total:.1f} %, a year {annual:+.1f} %, Sharpe above 0: {sharpe > 0}")
raise SystemExit((round(total, 1), round(annual, 1), sharpe > 0) != (-8.0, 87.6, True))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py 2>/dev/null
