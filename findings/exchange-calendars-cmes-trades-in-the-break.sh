#!/usr/bin/env bash
# exchange_calendars 4.13.2, CMES (against pandas_market_calendars 5.5.0, CME_Equity; pandas 3.1.1)
# Guess: a session of CME futures ends at 16:00 Chicago and the next begins at 17:00, in both libraries.
# Seen: in exchange_calendars a session goes from 17:00 to 17:00: the hour without trading is open. Output:
# `16:30 open: exchange_calendars True, pandas_market_calendars False; minutes: 1440 and 1380`.
# Hurts: who looks for missing minute bars of ES or NQ by it: 60 missing bars in each complete session.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check exchange_calendars==4.13.2 \
  pandas_market_calendars==5.5.0 pandas==3.1.1
cat >"$T/try.py" <<'PYTHON'
import exchange_calendars
import pandas
import pandas_market_calendars

minute = pandas.Timestamp("2023-11-21 16:30", tz="America/Chicago")
one = exchange_calendars.get_calendar("CMES", start="2023-11-01", end="2023-12-01")
other = pandas_market_calendars.get_calendar("CME_Equity")
schedule = other.schedule("2023-11-20", "2023-11-22")
opens = one.is_open_on_minute(minute), bool(other.open_at_time(schedule, minute))
length = schedule.loc["2023-11-21", "market_close"] - schedule.loc["2023-11-21", "market_open"]
counts = len(one.session_minutes("2023-11-21")), int(length.total_seconds() // 60)
print(
    f"16:30 open: exchange_calendars {opens[0]}, pandas_market_calendars {opens[1]}; "
    f"minutes: {counts[0]} and {counts[1]}"
)
raise SystemExit(opens != (True, False) or counts != (1440, 1380))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
