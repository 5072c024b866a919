#!/usr/bin/env bash
# ccxt 4.5.90, Exchange.parse8601
# Guess: `2024-01-02`, and `2024-01-02T09:30Z` without seconds, are ISO 8601 and give milliseconds.
# Seen: both are None; as `since` that means "no limit", so that no error follows. Output: `date: None,
# minutes: None, seconds: 1704187800000, bars since the date: 3 of 3`.
# Hurts: who writes `fetch_ohlcv(..., since=exchange.parse8601("2024-01-02"))`: other bars than asked for.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check ccxt==4.5.90
cat >"$T/try.py" <<'PYTHON'
import ccxt

exchange = ccxt.Exchange()
day = 86_400_000
bars = [[1704067200000 + number * day, 1, 2, 1, 2, 5] for number in range(3)]  # from January 1st
date, minutes = exchange.parse8601("2024-01-02"), exchange.parse8601("2024-01-02T09:30Z")
seconds = exchange.parse8601("2024-01-02T09:30:00Z")
kept = exchange.parse_ohlcvs(bars, None, "1d", date)
print(f"date: {date}, minutes: {minutes}, seconds: {seconds}, bars since the date: {len(kept)} of 3")
raise SystemExit(date is not None or minutes is not None or seconds != 1704187800000 or len(kept) != 3)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
