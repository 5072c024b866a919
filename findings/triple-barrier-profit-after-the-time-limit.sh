#!/usr/bin/env bash
# triple-barrier 1.0.1, Labeler (with pandas 3.0.6)
# Guess: "The event that occurs first" closes the trade: at a time limit of 09:33 that is the open of the bar that
# starts then, as the text on the time barrier has it, so that a high later in that bar is of no account.
# Seen: the limit's own bar still counts for the profit: of the same time, the barrier that comes first in the library's
# list wins. Output: `high at 09:33 is 105: TAKE_PROFIT 104; is 101: TIME_EXPIRATION 100`.
# Hurts: who trains on these labels: a profit that was reached after the trade had been closed at 100 is taught as its
# result.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check triple-barrier==1.0.1 pandas==3.0.6 numpy==1.26.4
cat >"$T/try.py" <<'PYTHON'
import pandas
from triple_barrier.orders import Orders
from triple_barrier.trade_labeling import Labeler
from triple_barrier.types import TradeSide

times = pandas.date_range("2024-01-02 09:30", periods=5, freq="min")


def first_hit(high_at_limit):
    orders = Orders()
    orders.open_time, orders.time_limit = str(times[0]), str(times[3])
    orders.open_price, orders.take_profit_level, orders.stop_loss_level = 100.0, 104.0, 95.0
    orders.trade_side, orders.pip_decimal_position = TradeSide.BUY, 2
    columns = [100.0] * 5, [101.0, 101.0, 101.0, high_at_limit, 101.0], [99.0] * 5, [100.0] * 5
    hit = Labeler(*(pandas.Series(column, index=times) for column in columns), orders).compute().first_hit
    return hit.order_type.name, hit.hit_datetime.strftime("%H:%M"), float(hit.level)


late, none = first_hit(105.0), first_hit(101.0)
print(f"high at 09:33 is 105: {late[0]} {late[2]:.0f}; is 101: {none[0]} {none[2]:.0f}")
raise SystemExit(late != ("TAKE_PROFIT", "09:33", 104.0) or none != ("TIME_EXPIRATION", "09:33", 100.0))
PYTHON
cd "$T"
MPLCONFIGDIR=$T "$T/venv/bin/python" try.py
