#!/usr/bin/env bash
# fastparquet 2026.9.0, write (with pandas 3.1.1 and pyarrow 26.0.1)
# Guess: bars that pyarrow.csv read, as a table of pandas, are written with the times that they have.
# Seen: pyarrow gives times in whole seconds (datetime64[s]). fastparquet's column says milliseconds, with the
# count of seconds in it, and nothing is said. Output: `2024-01-02 09:30:00 -> 1970-01-01 00:28:24.187000`.
# Hurts: who converts a vendor's CSV to Parquet this way: every bar is of the first hour of 1970.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check fastparquet==2026.9.0 pandas==3.1.1 pyarrow==26.0.1
cat >"$T/try.py" <<'PYTHON'
import fastparquet
import pyarrow.csv
import pyarrow.parquet

with open("bars.csv", "w") as file:
    file.write("time,close\n2024-01-02 09:30:00,4700.25\n2024-01-02 09:31:00,4700.5\n")
bars = pyarrow.csv.read_csv("bars.csv").to_pandas()
fastparquet.write("bars.parquet", bars)
before = bars["time"][0]
after = pyarrow.parquet.read_table("bars.parquet")["time"][0].as_py()
print(f"{before} -> {after}")
raise SystemExit(str(after) != "1970-01-01 00:28:24.187000")
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
