#!/usr/bin/env bash
# fastparquet 2026.9.0, ParquetFile.to_pandas, of a file that polars 2.1.0 wrote (pandas 3.1.1)
# Guess: a column that Parquet marks as adjusted to UTC comes back with a zone, UTC at least.
# Seen: only pandas' own note in the file counts, which polars doesn't write: the times are those of UTC, with
# no zone. Output: `written: 2024-01-02 09:30:00-05:00, read: 2024-01-02 14:30:00`.
# Hurts: who makes bars with polars and selects by hour, or takes zoneless times for local ones: the session
# begins at 14:30, in summer at 13:30.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check fastparquet==2026.9.0 pandas==3.1.1 polars==2.1.0
cat >"$T/try.py" <<'PYTHON'
from datetime import datetime
from zoneinfo import ZoneInfo

import fastparquet
import polars

written = datetime(2024, 1, 2, 9, 30, tzinfo=ZoneInfo("America/New_York"))
polars.DataFrame({"time": [written], "close": [4700.25]}).write_parquet("bars.parquet")
read = fastparquet.ParquetFile("bars.parquet").to_pandas()["time"][0]
print(f"written: {written}, read: {read}")
raise SystemExit(read.tzinfo is not None or str(read) != "2024-01-02 14:30:00")
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
