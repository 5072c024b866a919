#!/usr/bin/env bash
# ccxt 4.5.90, Exchange.build_ohlcvc
# Guess: `limit` is the number of bars, as in fetch_ohlcv and parse_ohlcvs, and the bars are whole.
# Seen: it is the number of trades that are looked at, from the oldest: the last bar is made of a part of its
# trades. Output: `all: 2 bars, volumes 3 and 7; limit 2: 1 bar, high 9, volume 2`.
# Hurts: who builds bars of an exchange that has none: fewer than asked for, and the last has a wrong high,
# low, close and volume.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check ccxt==4.5.90
cat >"$T/try.py" <<'PYTHON'
import ccxt

start = 1704205800000
trades = [
    {"timestamp": start + 1000 * second, "price": price, "amount": amount}
    for second, price, amount in ((1, 8, 1), (30, 9, 1), (59, 10, 1), (61, 11, 7))
]
exchange = ccxt.Exchange()
bars, limited = exchange.build_ohlcvc(trades, "1m"), exchange.build_ohlcvc(trades, "1m", start, 2)
print(
    f"all: {len(bars)} bars, volumes {bars[0][5]} and {bars[1][5]}; "
    f"limit 2: {len(limited)} bar, high {limited[0][2]}, volume {limited[0][5]}"
)
raise SystemExit(len(bars) != 2 or bars[0][2] != 10 or len(limited) != 1 or limited[0][2] != 9)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
