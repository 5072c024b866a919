# `make demo` and `make test` do all their own set-up; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help install tools browser data demo test warm unit check fuzz format golden bench campaign faults sweep-faults scale release docs clean

PYTHON ?= python3
# The tests start Python hundreds of times: what they start is compiled once, not each time.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
# Debian's pip of 2023 takes twice the CPU to install all, and four times to find that nothing is missing.
PIP = PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --constraint constraints.txt
# Tests of servers wait for one another a third of the time: two workers more than processors.
WORKERS ?= $(shell expr `nproc 2>/dev/null || sysctl -n hw.ncpu` + 2)
STAMP := .venv/.installed

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

install: tools $(STAMP) data  ## make .venv with everything; quick when nothing changed

$(STAMP): pyproject.toml constraints.txt jobs/requirements.txt tests/requirements.txt $(wildcard moola_remote/extras/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: $(PYTHON) is older than 3.10; try: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing packages into .venv (about 1 GB, a few minutes the first time)"
	@$(PIP) --upgrade pip
	@$(PIP) --no-compile --editable '.[all,job,dev]'
	@touch $@

# Programs from outside Python: installed where root or sudo allows, otherwise named.
tools:
	@PYTHON=$(PYTHON) sh tests/tools.sh

# What only the tests need: Chromium for pages, shells, the newest Python and OpenSSH of a pod.
browser: tools
	@PYTHON=$(PYTHON) sh tests/tools.sh browser
	@sh tests/newer_openssh.sh .venv/openssh & sh tests/newer_python.sh 3.14 .venv/pythons/3.14; wait

# A synthetic market, used where ../shared/data is absent; written once, from a seed.
data: $(STAMP)
	@test -e ../shared/data/labelled || test -e data/synthetic/labelled || $(BIN)/python -m jobs.synthesize --out data/synthetic

demo: install  ## deploy, train twice and fetch on the embedded local pod
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh tests/demo.sh

test: tools  ## everything that CI runs
	@$(MAKE) --no-print-directory -j2 install browser
	@$(MAKE) --no-print-directory -j2 check warm
	@NUMBA_CACHE_DIR="$(CURDIR)/.venv/numba" $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not scale" tests

# What every worker and pod of the tests would compile at the same time: kernels and bytecode.
warm: $(STAMP) data
	@$(BIN)/python -m tests.support.kernels
	@$(BIN)/python -m pytest -q --collect-only tests >/dev/null 2>&1 || :

unit: $(STAMP)  ## the tests that start no process, without slow ones and those on random input
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q --hypothesis-profile=brief -m "unit and not fuzz and not slow" tests

check: $(STAMP)  ## format, lint, strict types, import contracts, known vulnerabilities in packages
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/audit.py

fuzz: install  ## random input for every reader, MOOLA_FUZZ_CASES (10000) each
	@$(BIN)/python -m pytest -m fuzz -n 2 --timeout 7200 --hypothesis-profile=long --hypothesis-show-statistics tests

format: $(STAMP)  ## let ruff fix what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

golden: install  ## rewrite the screens and pages that tests compare with; then read the diff
	@MOOLA_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/remote/ui/test_dashboard.py tests/remote/cli/test_reference.py

bench: install  ## benchmarks as ratios in one run (without ablation and limits, which evaluate the model)
	@for script in $(filter-out benchmarks/ablation.py benchmarks/limits.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

campaign: install  ## SEQUENCES (1000) random sequences of commands, jobs and faults; fails if a promise is broken
	@unshare --mount --pid --fork --mount-proc --kill-child $(BIN)/python -m tests.campaign --sequences $(or $(SEQUENCES),1000) $(if $(SEED),--seed $(SEED))

faults: install  ## the fault table of docs/results.md; fails if anything is lost
	@$(BIN)/python -m tests.faults

sweep-faults: install  ## MOOLA_KILLS (200) random kills under sweeps over three pods; fails if a trial is lost or done twice
	@$(BIN)/python -m tests.faults.sweep $${MOOLA_KILLS:-200}
	@$(BIN)/python -m tests.faults.sweep $${MOOLA_KILLS:-200} 19 4

scale: install  ## sweeps over a Ray cluster on the loopback; installs Ray (70 MB, no part of the rest)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	@$(BIN)/python -m pytest -m scale tests/scale

release: $(STAMP)  ## build wheel and sdist into dist/, check them, start the wheel in an empty environment
	@sh tests/release.sh $(BIN)/python

docs: $(STAMP)  ## the pages of docs/ and the API as a site in build/site; a dead link fails
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --requirement docs/requirements.txt
	@$(BIN)/python -m mkdocs build --config-file docs/site/mkdocs.yml
	@echo build/site/index.html

clean:  ## remove everything generated here except results
	@rm -rf .venv build dist *.egg-info data/synthetic .pytest_cache .mypy_cache .ruff_cache
