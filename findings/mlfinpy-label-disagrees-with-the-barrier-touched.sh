#!/usr/bin/env bash
# mlfinpy 0.1.2, labeling.get_events and get_bins
# Guess: the label says which barrier ended the event: 1 where profit was taken, -1 at the stop, 0 at the time limit.
# Seen: events end at plain returns, labels are given by logarithms: with a target of 10 %, profit taken beyond 2 of
# them (20.5 %, before the limit) is a 0, and 9.5 % down at the limit, with a stop at 10 %, is a -1. Output:
# `up 20.5 %: ended after 2 min, label 0; down 9.5 %: ended after 5 min (the limit), label -1`.
# Hurts: who trains on these labels: between 20 and 21 % winners are taught as nothing, and between -9.1 and -10 % expired
# events as stopped ones; more where targets and multiples are larger.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check \
  mlfinpy==0.1.2 numpy==1.26.4 pandas==2.3.3 scikit-learn==1.9.1
cat >"$T/try.py" <<'PYTHON'
import pandas
from mlfinpy.labeling.labeling import add_vertical_barrier, get_bins, get_events

times = pandas.date_range("2024-01-02 09:30", periods=7, freq="1min")


def label(prices, pt_sl):
    close = pandas.Series(prices, index=times)
    limit = add_vertical_barrier(times[:1], close, num_minutes=5)
    target = pandas.Series(0.1, index=times)
    events = get_events(close, times[:1], pt_sl, target, 0.0, 1, vertical_barrier_times=limit, verbose=False)
    minutes = int((events["t1"].iloc[0] - times[0]).total_seconds() // 60)
    return minutes, int(get_bins(events, close)["bin"].iloc[0])


won = label([100, 110, 120.5, 100, 100, 100, 100.0], [2, 2])
expired = label([100, 99, 98, 97, 96, 90.5, 90.5], [1, 1])
print("up 20.5 %: ended after {} min, label {}; ".format(*won), end="")
print("down 9.5 %: ended after {} min (the limit), label {}".format(*expired))
raise SystemExit(won != (2, 0) or expired != (5, -1))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
