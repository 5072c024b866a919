#!/usr/bin/env bash
# fastparquet 2026.9.0, write(times="int96") (with pandas 3.1.1 and pyarrow 26.0.1)
# Guess: "int96", which its documentation names for Spark, stores the same instants as the default.
# Seen: whatever the unit, its count is stored as nanoseconds; pandas 3 makes microseconds. Output:
# `int64: 2024-01-02 14:30:00+00:00, int96: 1970-01-20 17:23:25.800000+00:00`.
# Hurts: who writes bars for Spark and has gone from pandas 2, whose times were nanoseconds, to pandas 3.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check fastparquet==2026.9.0 pandas==3.1.1 pyarrow==26.0.1
cat >"$T/try.py" <<'PYTHON'
import fastparquet
import pandas
import pyarrow.parquet

time = pandas.date_range("2024-01-02 14:30", periods=2, freq="1min", tz="UTC")
bars = pandas.DataFrame({"time": time, "close": [4700.25, 4700.5]})
found = {}
for times in ("int64", "int96"):
    fastparquet.write("bars.parquet", bars, times=times)
    found[times] = str(pyarrow.parquet.read_table("bars.parquet").to_pandas()["time"][0])
print(f"int64: {found['int64']}, int96: {found['int96']}")
raise SystemExit(
    not found["int64"].startswith("2024-01-02 14:30:00") or not found["int96"].startswith("1970-01-20 17:23:25.8")
)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
