#!/usr/bin/env bash
# pympi-ling 1.71, Elan.Eaf.get_annotation_data_at_time and get_annotation_data_between_times
# Guess: annotations that touch at 1000 ms are one each: at 1000 the second, and from 1000 to 2000 the second only.
# Seen: both ends count, so that neighbours come too. Output: `at 1000: ['flat', 'up'], from 1000 to 2000:
# ['flat', 'up', 'down']`.
# Hurts: who takes the first that is found as the label of a bar, or counts annotations by window: wrong at
# each boundary, and three where there is one.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check pympi-ling==1.71
cat >"$T/try.py" <<'PYTHON'
from pympi import Elan

eaf = Elan.Eaf()
eaf.add_tier("labels")
for number, label in enumerate(("flat", "up", "down")):
    eaf.add_annotation("labels", 1000 * number, 1000 * (number + 1), label)
at = [label for *_, label in eaf.get_annotation_data_at_time("labels", 1000)]
between = [label for *_, label in eaf.get_annotation_data_between_times("labels", 1000, 2000)]
print(f"at 1000: {at}, from 1000 to 2000: {between}")
raise SystemExit(at != ["flat", "up"] or between != ["flat", "up", "down"])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
