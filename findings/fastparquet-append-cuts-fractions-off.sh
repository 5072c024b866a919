#!/usr/bin/env bash
# fastparquet 2026.9.0, write(append=True) (with pandas 3.1.1 and pyarrow 26.0.1)
# Guess: appending a column of fractions to a file that has whole numbers there is an error, as another set of
# columns is.
# Seen: it is written, without the fractions and without a word. Output: `volume: [5, 6, 5, 0]`.
# Hurts: who appends each day's bars: the first day had whole volumes, the second fractions (crypto), or whole
# prices the first.
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

fastparquet.write("bars.parquet", pandas.DataFrame({"volume": [5, 6]}))
fastparquet.write("bars.parquet", pandas.DataFrame({"volume": [5.75, 0.9]}), append=True)
volume = pyarrow.parquet.read_table("bars.parquet")["volume"].to_pylist()
print("volume:", volume)
raise SystemExit(volume != [5, 6, 5, 0])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
