# Every target is one command of the Python package tools/, which checks what it needs and installs what it lacks.
PYTHON3 ?= python3
TOOLS = @$(PYTHON3) -m tools
.DEFAULT_GOAL := help
.PHONY: help demo test lint unit mutants bench promises campaign docs lab lab-down prepare clean
.NOTPARALLEL:

help: ## Show this help
	@sed -n 's/^\([a-z-]*\): *## /  make \1\t/p' Makefile | expand -t 18
	@echo "Variables: LAB_CLUSTER=NAME chooses another cluster; ARGS=\"-e istio_method=helm\" goes to the demo's site playbook."

demo: ## From nothing to a verified mesh on this machine, proved by a request through its gateway (root)
	$(TOOLS) demo

test: ## What every change must hold: lint, units, sanity, demo, integration, all scenarios (root)
	$(TOOLS) test

lint: ## Ruff, mypy, yamllint, ansible-lint, changelog and documentation, offline
	$(TOOLS) lint

unit: ## The unit tests only
	$(TOOLS) unit

mutants: ## Change the code in single places and see whether a unit test notices (ARGS="--package kube")
	$(TOOLS) mutants $(ARGS)

bench: ## Measure speed against the bounds that the design promises (root)
	$(TOOLS) bench

promises: ## Simulate rollouts, and print how often they end wrongly beside what the guide promises (ARGS="--runs 500")
	$(TOOLS) promises $(ARGS)

campaign: ## The long runs: the lab's own suite, proof of verify, rollouts, kills (root; ARGS="--only proof --seed 7")
	$(TOOLS) campaign $(ARGS)

docs: ## The documentation as a site in build/docsite/html, offline and without a warning
	$(TOOLS) docs

lab: ## The embedded cluster with the demo shop and no mesh (root)
	$(TOOLS) lab

lab-down: ## Remove the embedded cluster (root)
	$(TOOLS) lab-down

prepare: ## Only the virtual environment and the collections
	$(TOOLS) prepare

clean: ## Remove everything that make wrote into this clone; clusters and their cache stay
	rm -rf .venv .venv-core* .cache .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis build tests/output
	rm -rf collections/ansible_collections
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
