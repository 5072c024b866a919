#!/usr/bin/env bash
# dcase_util 0.2.20, MetaDataContainer.add_time
# Guess: each event moves by 10 s: both its ends, as the docstring has it.
# Seen: an onset of 0 stays where it is, only the offset moves. Output: `[(0.0, 11.0), (12.0, 13.0)]` for events of 0
# to 1 s and 2 to 3 s.
# Hurts: who puts the labels of windows back into the recording: the event at a window's first sample grows over all
# that lies before the window.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check dcase_util==0.2.20 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
from dcase_util.containers import MetaDataContainer

spans = [(0.0, 1.0), (2.0, 3.0)]
events = MetaDataContainer([{"onset": start, "offset": end, "event_label": "up"} for start, end in spans])
moved = [(event.onset, event.offset) for event in events.add_time(10.0)]
print(moved)
raise SystemExit(moved != [(0.0, 11.0), (12.0, 13.0)])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
