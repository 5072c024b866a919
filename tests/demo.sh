#!/bin/sh
# The main job on the embedded local pod, as a user would type it.
set -eu
say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

if [ -e ../shared/data/labelled ]; then
    echo "data: real bars, the labelled windows of ../shared/data/labelled"
else
    echo "data: the built-in synthetic market in data/synthetic (no ../shared/data here)"
fi
say moola-remote up
say moola-remote deploy

# Started and then watched, so that the id is known and nobody else's run can be meant.
train_and_fetch() {
    printf '\n\033[1m$ moola-remote train %s\033[0m\n' "$*"
    run=$(moola-remote train --detach "$@")
    moola-remote attach "$run"
    say moola-remote fetch results "$run"
}

train_and_fetch --epochs 20 --recipe seed
seed=$run
echo "That was the original recipe, kept as a baseline: in 20 epochs it finds nothing."
# The default recipe, in fewer epochs.
train_and_fetch --epochs 12
say moola-remote compare "$seed" "$run"
