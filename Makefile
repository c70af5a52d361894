# `make help` says what there is.
ifneq ($(LANDING),)
export ASSAY_LANDING := $(LANDING)
endif
ifneq ($(WAREHOUSE),)
export ASSAY_WAREHOUSE := $(WAREHOUSE)
endif

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.with-example
PACKAGES := dbt_packages/dbt_expectations
DEMO := data/landing
DAGSTER := data/dagster
PORT := 3000

.DEFAULT_GOAL := help
.PHONY: help setup demo build report serve stream dagster test test-unit lint docs site lineage bench clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 11
	@echo
	@echo 'LANDING=folder and WAREHOUSE=file choose where data comes from and goes to:'
	@echo '  make build LANDING=/data/drop WAREHOUSE=/data/shop.duckdb'

# What a target needs beyond the default is installed when the target is first asked for.
.venv/.with-%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@
.PRECIOUS: .venv/.with-%
.NOTPARALLEL:

$(PACKAGES): | $(READY)
	$(BIN)/assay deps

setup: $(READY) $(PACKAGES) ## Make the virtual environment and fetch dbt's packages

demo: setup
ifeq ($(ASSAY_LANDING),)
	@if [ -z "$$(ls -A $(DEMO) 2>/dev/null)" ]; then $(BIN)/assay demo --out $(DEMO); fi
endif

build: demo ## Build, test and publish the warehouse; of demo data where there is no other
	$(BIN)/assay build

report: setup .venv/.with-report ## Write the report on the last build to report/index.html
	$(BIN)/assay report

serve: setup .venv/.with-serve ## Serve the features that are online at http://127.0.0.1:6566
	$(BIN)/assay serve

stream: setup .venv/.with-serve .venv/.with-broker ## Start a broker, the demo as a stream, builds and the server
	$(BIN)/python -m example.live

dagster: demo .venv/.with-dagster ## Open the project in Dagster at http://127.0.0.1:3000; PORT= takes another
	mkdir -p $(DAGSTER) && cp examples/dagster/dagster.yaml $(DAGSTER)
	DAGSTER_HOME=$(CURDIR)/$(DAGSTER) $(BIN)/dagster dev --host 127.0.0.1 --port $(PORT) -f examples/dagster/definitions.py

# To compile all anew takes each process of tests and each command that they start two seconds or more.
test test-unit: export PYTHONDONTWRITEBYTECODE :=
test: setup .venv/.with-dev ## Run the tests
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-unit: setup .venv/.with-dev ## Run the tests that build nothing, in a few minutes
	$(BIN)/pytest -n 2 --dist loadfile -m 'not builds'

lint: setup .venv/.with-dev ## Check Python and SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint $(wildcard models snapshots tests/dbt analyses)

docs: setup ## Write the documentation of the warehouse to target/assay_docs.html, one file
	$(BIN)/assay docs

site: setup .venv/.with-docs ## Write the guides and references as a site to site/index.html
	$(BIN)/sphinx-build --fresh-env --fail-on-warning --keep-going --quiet --doctree-dir target/doctrees docs site
	@echo 'Open site/index.html in a browser.'

lineage: setup ## Write a page of what is made of what, column by column, to target/assay_lineage.html
	$(BIN)/assay lineage

SCALE ?= small
bench: setup .venv/.with-bench ## Measure how long builds take; SCALE=full takes half an hour and 12 GB
	$(BIN)/python -m benchmarks --scale $(SCALE)

clean: ## Remove what builds have made here: warehouses, demo data, logs; nothing outside this folder
	rm -rf target logs dbt_packages package-lock.yml report site
	rm -rf data/stream data/*.duckdb data/*.duckdb.wal data/*.duckdb.lock data/*.prom data/published data/dagster data/online.sqlite* data/serving
	if [ -e $(DEMO)/_demo.json ]; then rm -rf $(DEMO); fi
