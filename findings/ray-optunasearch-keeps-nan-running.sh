#!/usr/bin/env bash
# ray 2.60.0 with optuna 5.0.0, OptunaSearch
# Guess: a trial that ends with a metric of NaN is recorded as failed, as optuna's own optimize() does.
# Seen: the study keeps it as running for ever; a warning is all. Output:
# `OptunaSearch: COMPLETE, RUNNING; optimize: COMPLETE, FAIL`.
# Hurts: whose losses diverge: who opens the study sees runs that go on, and a sampler that counts running
# trials (constant_liar) keeps away from such points for another reason than that they failed.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check "ray[tune]==2.60.0" optuna==5.0.0
cat >"$T/try.py" <<'PYTHON'
import logging
import math

import optuna
from ray.tune.search.optuna import OptunaSearch

logging.disable(logging.WARNING)
optuna.logging.set_verbosity(optuna.logging.CRITICAL)
losses = {"first": 0.5, "second": math.nan}

storage = optuna.storages.InMemoryStorage()
space = {"x": optuna.distributions.FloatDistribution(0, 1)}
search = OptunaSearch(space, metric="loss", mode="min", storage=storage, study_name="theirs")
for name, loss in losses.items():  # what Tune calls for each trial that it ends
    search.suggest(name)
    search.on_trial_complete(name, {"loss": loss, "training_iteration": 1})
theirs = [trial.state.name for trial in optuna.load_study(study_name="theirs", storage=storage).trials]

study = optuna.create_study()
study.optimize(lambda trial: list(losses.values())[trial.number], n_trials=2)
own = [trial.state.name for trial in study.trials]
print(f"OptunaSearch: {', '.join(theirs)}; optimize: {', '.join(own)}")
raise SystemExit(theirs != ["COMPLETE", "RUNNING"] or own != ["COMPLETE", "FAIL"])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
