# Every target does its own set-up: a virtual environment in .venv, and what it needs in it.
# `make demo` and `make test` on a new machine want nothing but make and Python 3.11 or 3.12.

PYTHON ?= python3
VENV ?= .venv
# Options for pip, such as where the CPU wheel of torch is (see README.md, "Which torch").
PIP_FLAGS ?=
# Options for pytest, such as `-k volume`.
PYTEST_FLAGS ?=

BIN := $(VENV)/bin
# Test files that run side by side; their peers, ports and folders are each their own.
WORKERS ?= 3
IN_PARALLEL = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
# Debian packages of the programs that the tests talk to.
PEERS := orthanc orthanc-dicomweb dcmtk pixelmed-apps mricron-data redis-server strace chromium

AS_ROOT_ON_DEBIAN := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null
APT_INSTALL := apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

# What is missing in words: which tests stand still without it.
define WITHOUT_PEERS
Tests that need these programs are skipped: Orthanc and DCMTK are the archive and the sender, PixelMed
judges reports, mricron-data holds the head that results are measured against, Redis carries bells, strace sees
what is synced, Chromium opens OHIF (deploy/ohif/fetch brings its page from npm).
endef
export WITHOUT_PEERS

.DEFAULT_GOAL := help
.PHONY: help demo definitions test test-long judge-results kill-test outage-test fuzz fuzz-ehr fuzz-feed property-test check lint types contracts peers viewer-test clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.with-demo ## Let a real head travel the whole way on this machine
	$(BIN)/overread demo

test: $(VENV)/.with-test peers definitions ## Run all tests; peers that are not installed are skipped, and named
	$(BIN)/python -m pytest -m 'not long' $(IN_PARALLEL) $(PYTEST_FLAGS)

test-long: $(VENV)/.with-test peers definitions ## Run the tests that take long and show in another form what others show
	$(BIN)/python -m pytest -m long $(IN_PARALLEL) $(PYTEST_FLAGS)

check: lint types contracts ## Everything that reads the code without running it

lint: $(VENV)/.with-test ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.with-test ## mypy, strict
	$(BIN)/mypy

contracts: $(VENV)/.with-test ## import-linter: who may import whom
	$(BIN)/lint-imports

bench-%: $(VENV)/.with-test ## A benchmark: bench-analysis, bench-context, bench-delivery, bench-ingest, bench-ledger, bench-listener, bench-results, bench-way
	$(BIN)/python -m tests.benchmarks.bench_$*

kill-test: $(VENV)/.with-test ## Kill the listener 200 times under load, and a delivery at every transaction
	OVERREAD_KILL_STRIDE=1 $(BIN)/python -m pytest $(PYTEST_FLAGS) tests/integration/test_confirmations.py
	OVERREAD_KILLS=$${OVERREAD_KILLS:-200} $(BIN)/python -m pytest -s $(PYTEST_FLAGS) tests/acceptance/test_listener_killed.py

outage-test: $(VENV)/.with-test ## Let each destination be sick for three hours, in every way
	OVERREAD_OUTAGE_HOURS=$${OVERREAD_OUTAGE_HOURS:-3} $(BIN)/python -m pytest -s $(PYTEST_FLAGS) tests/acceptance/test_outage.py tests/acceptance/test_outage_processes.py

judge-results: $(VENV)/.with-test ## Let the validators judge the results of 50 random studies in every profile
	OVERREAD_STUDIES=$${OVERREAD_STUDIES:-50} $(BIN)/python -m pytest -s $(PYTEST_FLAGS) tests/conformance/test_random_studies.py

fuzz: $(VENV)/.with-test ## Send 20000 broken associations to a listener
	OVERREAD_CASES=$${OVERREAD_CASES:-20000} $(BIN)/python -m pytest -s $(PYTEST_FLAGS) tests/acceptance/test_listener_fuzzed.py

fuzz-ehr: $(VENV)/.with-test ## Let a FHIR server answer anything, 2000 times
	OVERREAD_CASES=$${OVERREAD_CASES:-2000} $(BIN)/python -m pytest -q $(PYTEST_FLAGS) tests/unit/integrations/test_foreign_answers.py

fuzz-feed: $(VENV)/.with-test ## Send 6000 broken messages and merges to the role hl7, and kill it 100 times
	OVERREAD_CASES=$${OVERREAD_CASES:-2000} OVERREAD_KILLS=$${OVERREAD_KILLS:-50} $(BIN)/python -m pytest -q $(PYTEST_FLAGS) \
	    tests/integration/test_feed.py tests/acceptance/test_orders.py

property-test: $(VENV)/.with-test ## Send 2000 random masks through segmentations and back
	OVERREAD_CASES=$${OVERREAD_CASES:-2000} $(BIN)/python -m pytest -q $(PYTEST_FLAGS) tests/conformance/test_round_trip.py

viewer-test: $(VENV)/.with-test peers ## Look at the results of every kind of source in OHIF; screenshots go to var/viewer
	OVERREAD_VIEWER=all $(BIN)/python -m pytest $(PYTEST_FLAGS) tests/conformance/viewer

definitions: ## Fetch HL7's definitions of FHIR R4, which resources are held to (from npm, once)
	@tests/conformance/fetch-definitions --installed >/dev/null 2>&1 && exit 0; \
	command -v npm >/dev/null || { $(AS_ROOT_ON_DEBIAN) && $(APT_INSTALL) npm >/dev/null; } || { \
	    echo "npm is not installed: tests that hold resources to HL7's definitions are skipped"; exit 0; }; \
	tests/conformance/fetch-definitions >/dev/null || echo "HL7's definitions of FHIR could not be fetched"

clean: ## Remove what these targets made
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache var/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each set of packages, so that a second call starts at once. The test packages include the demo's.
$(VENV)/.with-demo: pyproject.toml | $(BIN)/python
	@echo "Installing Overread and what it stands on (some minutes the first time)"
	@$(BIN)/python -m pip install -qq $(PIP_FLAGS) --editable '.[demo]'
	@touch $@

$(VENV)/.with-test: pyproject.toml | $(BIN)/python
	@echo "Installing Overread, what it stands on, and what its tests need (some minutes the first time)"
	@$(BIN)/python -m pip install -qq $(PIP_FLAGS) --editable '.[test]'
	@touch $@ $(VENV)/.with-demo

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: Overread needs Python 3.11 or 3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || { \
	    echo "Overread needs Python 3.11 or 3.12; $(PYTHON) is $$($(PYTHON) --version). Name another one:"; \
	    echo "    make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(AS_ROOT_ON_DEBIAN) && $(APT_INSTALL) python3-venv >/dev/null; } || { \
	    echo "$(PYTHON) cannot make virtual environments (on Debian or Ubuntu: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

peers: ## Install the programs that the tests talk to (root on Debian or Ubuntu), or say what is missing
	@missing=; for package in $(PEERS); do \
	    dpkg-query --show --showformat='$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed \
	        || missing="$$missing $$package"; \
	done; \
	deploy/ohif/fetch --installed >/dev/null 2>&1 && page= || page=ohif; \
	if [ -n "$$page" ] && ! command -v npm >/dev/null; then missing="$$missing npm"; fi; \
	if [ -z "$$missing$$page" ]; then exit 0; fi; \
	if $(AS_ROOT_ON_DEBIAN); then \
	    echo "Installing:$$missing $$page"; \
	    [ -z "$$missing" ] || { $(APT_INSTALL) $$missing >/dev/null; } || exit 1; \
	    [ -z "$$page" ] || deploy/ohif/fetch >/dev/null; \
	else \
	    echo "Not installed:$$missing $$page"; echo "$$WITHOUT_PEERS"; \
	    [ -z "$$missing" ] || echo "To run them: as root on Debian or Ubuntu, apt-get install$$missing"; \
	    [ -z "$$page" ] || echo "For OHIF: deploy/ohif/fetch"; \
	fi
