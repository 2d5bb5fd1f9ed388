# S4GW: one target per job. `make run` and `make test` need nothing but Python 3.11+ and a package index.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DATA   ?= data
SOURCES := s4gw tests conf scripts
JOBS   ?= 2
# what a module's tests share is made once: a file stays in one process, and files are taken in the order of the tree
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run test test-gpu test-large test-upstreams check format lint types layers live soak soak-store bench bench-store bench-upstream dist clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-run: setup.cfg conf/constraints.txt | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check -c conf/constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: setup.cfg conf/constraints.txt | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check -c conf/constraints.txt -e '.[dev,clients]'
	@touch $@ $(VENV)/.installed-run

$(VENV)/.installed-upstreams: setup.cfg conf/constraints.txt | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check -c conf/constraints.txt -e '.[dev,clients,upstreams]'
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed-run

$(VENV)/.installed-bench: setup.cfg conf/constraints.txt | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check -c conf/constraints.txt -e '.[dev,clients,bench]'
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed-run

# s3fs wants another botocore than boto3 and aws-cli do: it has an environment of its own, and its tests call that
.venv-s3fs/.installed: conf/constraints-s3fs.txt
	$(PYTHON) -m venv .venv-s3fs
	.venv-s3fs/bin/pip install -q --disable-pip-version-check -r conf/constraints-s3fs.txt
	@touch $@

run: $(VENV)/.installed-run ## serve S3 on 127.0.0.1:8014 from ./data (ARGS="--port 9000" adds flags)
	$(BIN)/s4gw serve --data-dir $(DATA) $(ARGS)

test: $(VENV)/.installed-dev .venv-s3fs/.installed ## every test that this machine can run (ARGS="-k name" selects; JOBS=0: one process)
	$(PYTEST) $(ARGS)

# nvCOMP's libraries are large, and their licence is NVIDIA's: an environment of its own, only when asked for
.venv-gpu/.installed: setup.cfg conf/constraints.txt
	$(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/pip install -q --disable-pip-version-check -c conf/constraints.txt -e '.[dev,gpu]'
	@touch $@

test-gpu: .venv-gpu/.installed ## the GPU adapter against nvCOMP's libraries (150 MB), and on a GPU if there is one
	.venv-gpu/bin/python -m pytest -rs $(or $(ARGS),tests/gpu)

test-large: $(VENV)/.installed-dev ## the tests with objects of several GiB (needs 20 GiB of disk)
	$(BIN)/python -m pytest -m large --timeout 1800 $(ARGS)

test-upstreams: $(VENV)/.installed-upstreams .venv-s3fs/.installed ## every client through a gateway in front of S4GW and SeaweedFS
	$(BIN)/python -m pytest -m "upstreams and not large" $(ARGS)
	$(BIN)/python -m pytest tests/live/test_upstream_kinds.py $(ARGS)

check: format lint types layers test ## the gate: all of the below and the tests

format: $(VENV)/.installed-dev ## formatting is as ruff writes it
	$(BIN)/ruff format --config .ci/ruff.toml --check $(SOURCES)

lint: $(VENV)/.installed-dev ## all ruff rules
	$(BIN)/ruff check --config .ci/ruff.toml $(SOURCES)

types: $(VENV)/.installed-dev ## strict types
	$(BIN)/mypy --config-file setup.cfg s4gw tests
	MYPYPATH=scripts/soak $(BIN)/mypy --config-file setup.cfg scripts/soak

layers: $(VENV)/.installed-dev ## imports point down
	$(BIN)/lint-imports --config setup.cfg

live: $(VENV)/.installed-dev .venv-s3fs/.installed ## only the tests against real gunicorn workers
	$(PYTEST) tests/live $(ARGS)

soak: $(VENV)/.installed-dev ## ten minutes of mixed load, then leak and integrity checks (SOAK="--seconds 60")
	$(BIN)/python scripts/soak/soak.py $(SOAK)

soak-store: $(VENV)/.installed-dev ## an hour of power cuts, failing writes and kills of the store (SOAK="--seconds 600")
	$(BIN)/python -m tests.crash.soak $(SOAK)

bench-store: $(VENV)/.installed-dev ## a million keys: listings, start, memory; durable PUTs against two flushes for each
	$(BIN)/python scripts/soak/scale.py
	$(BIN)/python scripts/soak/commits.py

bench: $(VENV)/.installed-bench ## against SeaweedFS and rclone on this machine; table and plot in bench-out/
	$(BIN)/python scripts/soak/bench.py $(BENCH)

bench-upstream: $(VENV)/.installed-dev ## ranges, and the end of an upload of 1,000 parts, when the upstream is 50 ms away
	$(BIN)/python -m tests.live.latency

dist: $(VENV)/.installed-dev ## wheel and source archive in dist/
	$(BIN)/pip wheel -q --no-deps -w dist .

clean: ## remove the environment and caches, never data
	rm -rf $(VENV) .venv-s3fs .venv-gpu build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
