# `make up` runs Candlehouse here, `make test` runs what CI runs; both install what they need into .venv and node_modules.
VENV := .venv
RUN := $(VENV)/bin
DEMO ?= 0
ARGS ?=

.PHONY: help up test lint bench soak soak-live faults lock clean
.DEFAULT_GOAL := help

help:
	@echo "make up          start everything; Ctrl-C stops it"
	@echo "make up DEMO=1   the same with simulated exchanges; needs no network once installed"
	@echo "make test        all tests (ARGS='-k words' chooses some)"
	@echo "make lint        style and types"
	@echo "make bench       figures, one JSON line each"
	@echo "make soak        an hour of the market in a minute: eight workers within the limits (CLOCK_RATE=1: a real hour)"
	@echo "make soak-live   three days of live candles with a disconnect a minute, in 72 minutes: memory (CLOCK_RATE, HOURS)"
	@echo "make faults      rounds of kill -9 for commands and servers, and of all that can fail around a feed (ROUNDS=50 SEED=1)"
	@echo "make lock        choose package versions anew (needs uv)"
	@echo "make clean       remove what make installed; your data in local_data stays"

# `exec`: a SIGTERM to make reaches the program itself, and make waits until it has stopped everything.
up: $(VENV)/.run node_modules/.run
	@exec $(RUN)/candlehouse up $(if $(filter-out 0 no false,$(DEMO)),--demo)

test: $(VENV)/.dev node_modules/.dev
	@exec $(RUN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

bench: $(VENV)/.dev node_modules/.dev
	@exec $(RUN)/python -m pytest --capture=no --no-header $(wildcard tests/benchmarks/bench_*.py) $(ARGS)

soak: $(VENV)/.dev
	@exec $(RUN)/python -m tests.soak

soak-live: $(VENV)/.dev
	@exec $(RUN)/python -m tests.soak.live

ROUNDS ?= 50
SEED ?= 1
faults: $(VENV)/.dev node_modules/.dev
	@ROUNDS=$(ROUNDS) SEED=$(SEED) exec $(RUN)/python -m pytest --capture=no --no-header tests/faults/test_faults.py \
		tests/faults/test_live_faults.py $(ARGS)

LOCK := uv pip compile pyproject.toml --group build --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet
lock:
	$(LOCK) --extra embedded --extra node -o requirements.lock
	$(LOCK) --all-extras -c requirements.lock -o requirements-dev.lock
	$(LOCK) --extra embedded --extra test -c requirements-dev.lock -o requirements-image.lock

clean:
	rm -rf $(VENV) node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.run: requirements.lock pyproject.toml scripts/environment.sh
	@sh scripts/environment.sh python $(VENV) requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock requirements.lock pyproject.toml scripts/environment.sh
	@sh scripts/environment.sh python $(VENV) requirements-dev.lock
	@touch $(VENV)/.run $@

node_modules/.run: package-lock.json package.json | $(VENV)/.run
	@sh scripts/environment.sh node $(VENV) --omit=dev
	@touch $@

node_modules/.dev: package-lock.json package.json | $(VENV)/.run
	@sh scripts/environment.sh node $(VENV)
	@touch node_modules/.run $@
