# Everything a developer or CI runs. `make` lists it.
# Distributions compile their Python with a profile, and whoever builds one at home rarely does: an item takes 5 to
# 10 % less of a processor with theirs. `make setup PYTHON=python3.13` takes the one that it names.
THEIRS := /usr/bin/python3
PYTHON ?= $(shell $(THEIRS) -c 'import ensurepip, sys; assert sys.version_info >= (3, 11)' 2>/dev/null && \
	echo $(THEIRS) || echo python3)
VENV := .venv
BIN := $(VENV)/bin
KIT := .venv-toloka-kit
MODELS := .venv-kubernetes
PICTURES := .venv-bench
KIND := most
PIP_FLAGS := --quiet --disable-pip-version-check
.DEFAULT_GOAL := help

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# Where Python is told to write no bytecode, each start of a program would compile its modules anew.
setup: $(VENV)/.ready ## Install everything into .venv, with pinned hashes
	@$(BIN)/python -m compileall -q daemon tests

$(VENV)/.ready: pyproject.toml config/requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_FLAGS) --require-hashes -r config/requirements/dev.txt
	$(BIN)/pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

$(KIT)/.ready: config/requirements/toloka-kit.txt
	$(PYTHON) -m venv $(KIT)
	$(KIT)/bin/pip install $(PIP_FLAGS) --require-hashes -r config/requirements/toloka-kit.txt
	@touch $@

$(MODELS)/.ready: config/requirements/kubernetes.txt
	$(PYTHON) -m venv $(MODELS)
	$(MODELS)/bin/pip install $(PIP_FLAGS) --require-hashes -r config/requirements/kubernetes.txt
	@touch $@

$(PICTURES)/.ready: config/requirements/bench.txt
	$(PYTHON) -m venv $(PICTURES)
	$(PICTURES)/bin/pip install $(PIP_FLAGS) --require-hashes -r config/requirements/bench.txt
	@touch $@

demo: setup ## Run the main job on an embedded Kafka and a simulated Toloka (ITEMS=file.ndjson, KEEP=1)
	$(BIN)/python -m tests.demo

test: setup $(KIT)/.ready $(if $(filter all,$(KIND)),$(MODELS)/.ready) ## Every test, on a real Kafka, with branch coverage
	$(BIN)/coverage erase
	$(BIN)/python -m tests $(KIND)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

test-system: setup $(MODELS)/.ready ## Containers in an engine, manifests by their models, the status page in a browser
	.ci/system-needs
	$(BIN)/python -m tests system

chaos: setup ## Real processes under seeded blows: SIGKILL, SIGSTOP, broker and network (SEEDS=0-39)
	$(BIN)/python -m tests.chaos --seeds $(or $(SEEDS),0-39)

faults: setup ## Lost answers, late commits, late items, 20,000 items each (ITEMS=20000)
	$(BIN)/python -m tests.chaos lost-answers late-commits late-items --items $(or $(ITEMS),20000)

outage: setup ## Toloka away in every way at once, for five minutes (SECONDS=300)
	$(BIN)/python -m tests.chaos outage --seconds $(or $(SECONDS),300)

JOBS ?= 2
soak: SEEDS ?= 0-1999
soak: setup ## Run many seeds of the simulation, kills at every step, all mutants from scratch (SEEDS=a-b, JOBS=2)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --kills 0-2999 --steered $(SEEDS) --jobs $(JOBS) --progress --count-as soak
	$(BIN)/python -m tests.mutants --from-scratch --seeds 1000 --jobs $(JOBS)
	TOLOKAD_FUZZ_EXAMPLES=20000 $(BIN)/python -m pytest --timeout 0 tests/property/test_decoders_fuzzed.py

RESULTS := .bench/$(shell date +%Y%m%dT%H%M%S)
bench: setup $(PICTURES)/.ready ## Speed and cost beside references (ONLY="collect steady")
	$(BIN)/python -m tests.benchmarks $(ONLY) --output $(RESULTS)
	$(PICTURES)/bin/python tests/benchmarks/picture.py $(RESULTS)/figures.jsonl $(RESULTS)/cost.png

bench-quick: setup ## A little of it in a minute, for CI
	$(BIN)/python -m tests.benchmarks --quick --output $(RESULTS)

conformance: setup $(KIT)/.ready ## The simulator against the contract, and an existing client against the simulator
	$(BIN)/python -m pytest tests/contract

check: setup ## Lint, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Let ruff tidy the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: setup ## Write config/reference.env anew from the settings
	$(BIN)/python -m daemon.settings > config/reference.env

events: setup ## Write config/events.md anew from the code
	$(BIN)/python -m tests.deploy.events > config/events.md

licences: setup ## Write config/licences.md anew from what is pinned
	$(BIN)/python -m tests.supply.licences > config/licences.md

sbom: setup ## Write the bill of materials of what is shipped to dist/tolokad.cdx.json (CycloneDX)
	@mkdir -p dist
	$(BIN)/python -m tests.supply.sbom > dist/tolokad.cdx.json

rules: setup ## Write the PrometheusRule of deploy/kubernetes anew from deploy/prometheus
	$(BIN)/python -m tests.deploy.prometheus_rule > deploy/kubernetes/overlays/production/prometheus-rule.yaml

dashboard: setup ## Write deploy/grafana/tolokad.json anew from its panels
	$(BIN)/python -m tests.deploy.dashboard > deploy/grafana/tolokad.json

.PHONY: help setup bench bench-quick demo test soak test-system chaos faults outage conformance check format reference events licences sbom rules dashboard
