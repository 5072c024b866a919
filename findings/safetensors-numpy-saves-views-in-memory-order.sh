#!/usr/bin/env bash
# safetensors 0.8.0, safetensors.numpy.save (with numpy 2.4.6)
# Guess: a transposed array comes back equal; or it is refused, as safetensors.torch refuses such a tensor.
# Seen: the shape is the view's, the values are in the order that the base has in memory; nothing is said.
# Output: `saved [[0, 3], [1, 4], [2, 5]], loaded [[0, 1], [2, 3], [4, 5]]`.
# Hurts: who exports weights or features of numpy after `.T`, a slice of columns, or from order="F": a model
# that loads and predicts nonsense.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
cat >"$T/try.py" <<'PYTHON'
import numpy
from safetensors.numpy import load, save

weights = numpy.arange(6).reshape(2, 3).T
loaded = load(save({"weights": weights}))["weights"]
print(f"saved {weights.tolist()}, loaded {loaded.tolist()}")
raise SystemExit(loaded.tolist() != [[0, 1], [2, 3], [4, 5]])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
