# `make help` lists the targets. The work is in tools/: setup.py installs and builds, suites.py runs the suites.
PYTHON ?= python3
SETUP = $(PYTHON) tools/setup.py
SUITES = .venv/bin/python tools/suites.py
.DEFAULT_GOAL := help
TESTS = test-unit test-contract test-vectors test-db test-conformance test-supabase test-pyodide test-web test-torture test-disorder test-e2e
.PHONY: help run chat test lint authz load soak conformance chaos disorder tabs torture at-rest wheels bench pictures lock setup clean $(TESTS)

help: ## list the targets
	@sed -n 's/^\([a-z%-]*\):.*## /\1\t/p' Makefile | awk -F '\t' '{ printf "make %-10s %s\n", $$1, $$2 }'
	@echo "suites: $(TESTS)"

run: ## set everything up, start the service and print the link to open (PORT, COTERIE_DATA, PUBLIC_URL)
	@$(SETUP) run
	@exec .venv/bin/python tools/serve.py

chat: ## the client in this terminal: make chat ARGS="…"
	@$(SETUP) chat
	@exec .venv/bin/coterie chat $(ARGS)

test: ## set up what tests need, run every gate and suite, and sum up
	@$(SETUP) test
	@$(SUITES) all

lint: ## the gates alone: ruff, mypy, imports, stub, clippy, licences, advisories
	@$(SETUP) test
	@$(SUITES) lint

$(TESTS): test-%: ## one suite
	@$(SETUP) test
	@$(SUITES) $*

wheels: ## build the wheels for this machine and for Pyodide, into dist/
	@$(SETUP) wheels
	@ls -l dist/*.whl
	@echo "For the browser, frozen with hashes: dist/site/wheels/lock.json"

conformance: ## every promise of the service at full size, on three kinds of deployment (ROUNDS, COMMITTERS)
	@$(SETUP) conformance
	@PYTHONPATH=.:conformance .venv/bin/python tests/conformance/run.py

authz: ## everybody asks everything by every method, forged tokens everywhere, schemathesis at length (SEED)
	@$(SETUP) test
	@.venv/bin/python tools/authz.py

chaos: ## kill the service and Postgres and cut connections under load, and miss nothing (SECONDS, SEED)
	@$(SETUP) conformance
	@PYTHONPATH=.:conformance .venv/bin/python tests/chaos/run.py

disorder: ## 10,000 schedules over a network that reorders, delays, repeats and drops; members who commit at once (SEED, SCHEDULES, ROUNDS, MEMBERS, REPLAY)
	@$(SETUP) test
	@.venv/bin/python -m tests.disorder.run

tabs: ## tabs of one browser are closed and killed while all of them send, and nothing is lost or doubled (TABS, MESSAGES, BLOWS, SEED)
	@$(SETUP) test
	@PYTHONPATH=.:conformance .venv/bin/python tests/tabs/run.py

torture: ## kill clients at every await and at random, and lose nothing (POINTS, BROWSER_POINTS, SEED, SHARD=i/n, LANES, OUT, MERGE, REPORT, REPLAY)
	@$(SETUP) test
	@.venv/bin/python -m tests.torture.run

at-rest: ## search whole profiles, native and Chromium, for what must not lie on a disk (SEED, LINES)
	@$(SETUP) test
	@.venv/bin/python tests/at_rest/run.py

load: ## the service under load: sends, fan-out, reads, sizes, several processes (PARTS)
	@$(SETUP) test
	@.venv/bin/python bench/service/run.py $(PARTS)

soak: ## an hour at half load, watched for growth (SECONDS)
	@$(SETUP) test
	@.venv/bin/python bench/service/soak.py

bench: ## print the benchmarks' figures
	@$(SETUP) test
	@.venv/bin/python bench/run.py

pictures: ## take the screenshots in docs/images anew
	@$(SETUP) test
	@.venv/bin/python tools/pictures.py

lock: ## compile requirements/*.txt anew, to the newest versions that *.in allow
	@$(PYTHON) -m venv build/lock-venv
	@build/lock-venv/bin/pip install --quiet --require-hashes -r requirements/lock.txt
	@PATH="$(CURDIR)/build/lock-venv/bin:$$PATH" requirements/compile.sh

setup: ## install and build all that tests need, run nothing
	@$(SETUP) test

clean: ## remove what was built and installed here (not the service's data)
	rm -rf .venv .make build dist node_modules wasm/target
