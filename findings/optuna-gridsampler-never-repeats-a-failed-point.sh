#!/usr/bin/env bash
# optuna 5.0.0, GridSampler
# Guess: a point of the grid whose trial failed is still to do: the study goes on until each has a value.
# Seen: a failed trial counts as a visit; the study stops. Output:
# `points: [1, 2, 3], with a value: [1, 3]`.
# Hurts: whose machine was lost in the middle of a grid: one point has no score, and optimize() ends as if the
# grid were complete.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0
cat >"$T/try.py" <<'PYTHON'
import optuna

optuna.logging.set_verbosity(optuna.logging.CRITICAL)
seen = []


def objective(trial):
    x = trial.suggest_int("x", 1, 3)
    seen.append(x)
    if x == 2 and seen.count(2) == 1:  # fails the first time only
        raise ConnectionError("the machine is gone")
    return x


study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": [1, 2, 3]}, seed=0))
study.optimize(objective, catch=ConnectionError)
done = sorted(trial.params["x"] for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE)
print(f"points: {sorted(seen)}, with a value: {done}")
raise SystemExit(sorted(seen) != [1, 2, 3] or done != [1, 3])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
