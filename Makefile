# Every target makes its environment first (deploy/local/environment.sh): a no-op once it stands.
SHELL := bash
.DEFAULT_GOAL := help
ROADBED := .venv/bin/roadbed
PYTEST := .venv/bin/python -m pytest
# Processes of the platform read compiled bytecode; a shell that forbids writing it makes every start slow.
unexport PYTHONDONTWRITEBYTECODE

# Teams' packages are not installed; tools that import by name are shown where they lie.
EMPTY :=
TEAMS := $(subst $(EMPTY) $(EMPTY),:,$(wildcard team_projects/*))

QUICK := not (slow or service or browser or kill or attack)

.PHONY: help environment up down status test test-full status-table lint lock bench clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

environment: ## create or refresh .venv
	@deploy/local/environment.sh

up: environment ## start everything, live through enough of 2013 for a first model, show a prediction
	@$(ROADBED) up

down: environment ## stop what `make up` started; the state stays
	@$(ROADBED) down

status: environment ## what runs, what is served, what failed
	@$(ROADBED) status

test: environment ## unit, contract, graph and property tests; ten minutes on two cores
	$(PYTEST) -n 2 --show-capture=stdout --max-worker-restart 0 --dist loadfile --junitxml=.test-results/quick.xml -m "$(QUICK)" tests

# Three workers on two cores: an installation that a test waits for costs processor time as long as it is up.
test-full: environment ## services, browser, kills, attacks, and what is slow
	$(PYTEST) -n 3 --show-capture=stdout --max-worker-restart 0 --dist loadfile --no-loadscope-reorder --junitxml=.test-results/full.xml -m "not ($(QUICK))" tests

status-table: ## write the README's status table from the results of both
	.venv/bin/python -m tests.status_table

lint: environment ## style, types, imports, the generated workspace
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	MYPYPATH=$(TEAMS) .venv/bin/mypy $(addprefix -p ,$(notdir $(wildcard team_projects/*)))
	.venv/bin/lint-imports
	.venv/bin/python -m platform_assets.cli.workspace --check

lock: environment ## compile requirements.lock again
	deploy/local/lock.sh

bench: environment ## run one benchmark: make bench NAME=road
	@test -n "$(NAME)" || { echo "error: say which, for example make bench NAME=road; there are:"; \
	  ls benchmarks/[a-z]*.py | grep -v 'report\|page\|subjects\|journey\|_processes\|_sample\|_differences' | xargs -n1 basename | sed 's/\.py$$/  /' ; exit 2; }
	PYTHONPATH=.:$(TEAMS) .venv/bin/python -W ignore -m benchmarks.$(NAME)

clean: ## remove caches; neither the environment nor the state
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build .tmp_dagster_home_*
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
