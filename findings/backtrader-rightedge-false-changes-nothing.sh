#!/usr/bin/env bash
# backtrader 1.9.78.123, Cerebro.resampledata
# Guess: rightedge=False stamps a 5-minute bar with its left edge, as the docstring says; True with its right one.
# Seen: when minutes become 5 minutes, both stamp it with the right one. Output:
# `left: 09:35 09:40, right: 09:35 09:40`.
# Hurts: who resamples to bars stamped by their opening, as most vendors' are: each is 5 minutes off when they
# are joined.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check backtrader==1.9.78.123
cat >"$T/try.py" <<'PYTHON'
import backtrader

with open("bars.csv", "w") as file:
    file.write("time,open,high,low,close,volume\n")
    for minute in range(31, 41):  # stamped by their end
        file.write(f"2024-01-02 09:{minute}:00,1,2,0,1,7\n")


def stamps(rightedge):
    seen = []

    class Strategy(backtrader.Strategy):
        def next(self):
            seen.append(self.data.datetime.datetime(0).strftime("%H:%M"))

    engine = backtrader.Cerebro(stdstats=False)
    feed = backtrader.feeds.GenericCSVData(
        dataname="bars.csv", timeframe=backtrader.TimeFrame.Minutes, openinterest=-1
    )
    engine.resampledata(feed, timeframe=backtrader.TimeFrame.Minutes, compression=5, rightedge=rightedge)
    engine.addstrategy(Strategy)
    engine.run()
    return seen


left, right = stamps(False), stamps(True)
print(f"left: {' '.join(left)}, right: {' '.join(right)}")
raise SystemExit(left != ["09:35", "09:40"] or right != left)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
