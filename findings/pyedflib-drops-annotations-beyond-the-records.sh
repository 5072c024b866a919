#!/usr/bin/env bash
# pyEDFlib 0.1.42, annotations of EDF+
# Guess: 40 spans marked in a recording of 10 s are in the file, or writeAnnotation reports an error.
# Seen: each call returns 0, which is success; the file has the first 10, one a record of data.
# Output: `10 of 40, last T9`.
# Hurts: labels that lie closer than a second are lost; a second save replaces the source of them.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check pyEDFlib==0.1.42 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import numpy as np
import pyedflib

SIGNAL = {
    "label": "close", "dimension": "uV", "sample_frequency": 100, "transducer": "", "prefilter": "",
    "physical_min": -1, "physical_max": 1, "digital_min": -32768, "digital_max": 32767,
}
with pyedflib.EdfWriter("spans.edf", 1, file_type=pyedflib.FILETYPE_EDFPLUS) as writer:
    writer.setSignalHeader(0, SIGNAL)
    writer.writeSamples([np.sin(np.arange(1000) / 10)])
    returned = {writer.writeAnnotation(0.25 * i, 0.2, f"T{i}") for i in range(40)}
with pyedflib.EdfReader("spans.edf") as reader:
    texts = list(reader.readAnnotations()[2])
print(f"{len(texts)} of 40, last {texts[-1]}")
raise SystemExit(returned != {0} or texts != [f"T{i}" for i in range(10)])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
