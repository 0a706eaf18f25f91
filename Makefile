SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON := $(CURDIR)/.venv/bin/python

collection := .ansible/collections/ansible_collections/steadfast/postgresql
run := python-run $(collection)
test := python-test $(collection)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Demo

.PHONY: demo
demo: hosts-ready $(run) ## Start four hosts on this machine and converge the platform on them
	ansible-playbook -i inventories/demo molecule/shared/create.yml
	@status=0; ansible-playbook -i inventories/demo site.yml 2>&1 | tee .demo/site.log || status=$$?; \
	tests/hosts/demo-screen .demo/site.log $$status

.PHONY: demo-down
demo-down: $(run) ## Remove the demo: hosts, network, keys, passwords
	ansible-playbook -i inventories/demo molecule/shared/destroy.yml

##@ Tests

.PHONY: test
test: lint unit molecule ## Everything that .ci/run runs: lint, unit, molecule (three quarters of an hour)

.PHONY: lint
lint: $(test) ## Check style and types: yamllint, ansible-lint, ruff, mypy
	yamllint --strict .
	ansible-lint
	ruff check
	ruff format --check
	mypy

.PHONY: unit
unit: $(test) ## Run the unit tests, and break every decision about the topology to see one fail
	pytest tests/unit
	python tests/mutations.py

# An interrupted run, perhaps that of another checkout, may have left hosts behind.
.PHONY: molecule
molecule: $(test) hosts-ready ## Run the molecule scenarios on hosts of their own, but for the long faults
	molecule destroy --no-command-borders --scenario-name default
	molecule test --no-command-borders --all --exclude faults --exclude maintenance

.PHONY: test-faults
test-faults: $(test) hosts-ready ## What takes long: faults, maintenance, twenty fresh runs killed at random tasks (an hour, not part of test)
	molecule destroy --no-command-borders --scenario-name default
	molecule test --no-command-borders --scenario-name faults --scenario-name maintenance
	tests/bench/kill_converge --rounds 20

.PHONY: test-encryption
test-encryption: $(test) ## See a LUKS volume in a virtual machine as the role host sees it (two minutes, not part of test)
	pytest tests/encryption

.PHONY: bench
bench: hosts-ready $(run) ## Measure the collection against the floor, and databases of any size (twenty minutes, on a quiet machine)
	tests/bench/run --fresh 2.7 --again 0.5 --module-runs 12
	tests/bench/databases --apply 5 --again 2 --growth 1.5

##@ What they need

.PHONY: prerequisites
prerequisites: $(test) ## Install system packages and .venv, for work on the collection

.PHONY: hosts-ready
hosts-ready: python-run ## Build the hosts' base image and the package repository, once
	tests/hosts/build-image
	tests/packages/build

.PHONY: machine
machine:
	@tests/hosts/prepare-machine

.PHONY: python-run python-test
python-run python-test: python-%: machine
	@requirements/install $*

$(collection):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@
