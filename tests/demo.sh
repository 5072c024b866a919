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
say moola-remote train --epochs 20 --recipe seed
say moola-remote fetch results
say moola-remote train --recipe jade
say moola-remote fetch results
say moola-remote compare
