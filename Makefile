# `make demo` runs the pipeline, `make test` the tests. `make help` lists the other targets.

PYTHON ?= python3.11
ENV := .venv
STAMP := $(ENV)/.installed
# The commands of the stages are found on PATH.
export PATH := $(CURDIR)/$(ENV)/bin:$(PATH)
.DEFAULT_GOAL := help
.PHONY: help setup browser demo test test-fast test-services test-fuzz check format report status lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make the environment in .venv, if it is not up to date

$(STAMP): requirements.lock pyproject.toml
	test -x $(ENV)/bin/python || $(PYTHON) -m venv $(ENV)
	python -m pip install --quiet --requirement requirements.lock
	python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP) ## run the whole pipeline on two cores
	snakemake --cores 2
	@echo "The report: $(CURDIR)/reports/index.html (tables alone: reports/evaluation.md)"

browser: ## install Chromium for the test of the report's page, if there is apt
	@command -v chromium >/dev/null || ! command -v apt-get >/dev/null || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium; } || \
		echo "No Chromium: the test of the page in a browser will be skipped."

test: $(STAMP) browser ## run all tests in two processes
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile

test-fast: $(STAMP) ## run the tests except the slow ones
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile -m "not slow"

test-services: $(STAMP) ## run the tests with Slurm, sshd and an S3 server, which it installs (root)
	(command -v slurmctld && command -v sshd) >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm openssh-server openssh-client; }
	python -m pip install --quiet --no-deps --requirement requirements-services.lock
	OMP_NUM_THREADS=1 pytest tests/pipeline/services

test-fuzz: $(STAMP) ## read 300 damaged files of each kind; writes docs/hostile_files.md
	OMP_NUM_THREADS=1 python tests/hostile/fuzz.py --mutants 300 --table docs/hostile_files.md

check: $(STAMP) ## check format, lint, types, layers of imports
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile workflow
	basedpyright --level error
	lint-imports

format: $(STAMP) ## format the code
	ruff format .
	snakefmt Snakefile workflow

report: $(STAMP) ## update the report and what it needs
	snakemake --cores 2 --until report

status: $(STAMP) ## list the stages as fresh, stale or running, their sizes, the last metrics
	spinloop status

lock: $(STAMP) ## write requirements.lock from the environment
	sed '/^[^#]/,$$d' requirements.lock > $(ENV)/lock
	python -m pip freeze --all --exclude-editable --exclude pip | sed -E 's/\+cpu$$//' | LC_ALL=C sort -f >> $(ENV)/lock
	mv $(ENV)/lock requirements.lock

clean: ## remove temporary files of tools; data, models, DVC's cache and the environment stay
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache .snakemake logs build
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
