#!/usr/bin/env bash
# hyperopt 0.3.0, hp.uniformint
# Guess: hp.uniformint("layers", 1, 3) draws 1, 2 and 3 equally often, as hp.randint("layers", 1, 4) does.
# Seen: a float between 1 and 3 is rounded, so that both ends are drawn half as often as what is between them. Output:
# `uniformint: 0.25 0.49 0.25, randint: 0.34 0.33 0.33`, and of 1 to 2 half each.
# Hurts: who searches layers, heads or folds of a few values: half of the budget goes to the one in the middle, and with
# a random search the ends look rarer among the good trials than they are.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check hyperopt==0.3.0 numpy==1.26.4
cat >"$T/try.py" <<'PYTHON'
from collections import Counter

import numpy as np
from hyperopt import hp
from hyperopt.pyll.stochastic import sample

generator = np.random.default_rng(0)


def shares(space):
    drawn = Counter(int(sample(space, generator)) for _ in range(6000))
    return [round(drawn[value] / 6000, 2) for value in (1, 2, 3)]


integers, others = shares(hp.uniformint("layers", 1, 3)), shares(hp.randint("layers", 1, 4))
text = [" ".join(f"{share:.2f}" for share in each) for each in (integers, others)]
print(f"uniformint: {text[0]}, randint: {text[1]}")
raise SystemExit(not all(abs(a - b) < 0.03 for a, b in zip(integers + others, [0.25, 0.5, 0.25] + [1 / 3] * 3)))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
