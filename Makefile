# Every target is one line that calls a real tool. `make help` lists them.
PYTHON ?= python3
V := .venv/bin
DOCKER = $(PYTHON) ansible/molecule/with_docker.py
# Tests start hundreds of Python processes; where the environment forbids byte code, each would compile all it imports.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help demo test setup lint types lint-playbooks lint-infra unit infra coverage image-tests hosts federation offline format lock openapi clean \
	build up down restart ci up-no-trust central-hub up-trusts up-local-trust restart-no-trust create-networks debug debug-off \
	debug-all debug-off-all generate-trust-api-keys generate-internal-service-key unit_test tests hub-bootstrap hub-plan-local hub-apply-local

help: ## list the targets
	@grep -hE '^[a-z_-]+:.*## ' Makefile | sed -E 's/^([a-z_-]+):[^#]*## (.*)/make \1\t\2/' | column -t -s "$$(printf '\t')"

demo: ## a hub and two trusts on this machine train on real images (KEEP=1 leaves them up)
	@$(PYTHON) services/flipctl/bootstrap.py demo && exec $(V)/flipctl demo $(if $(KEEP),--keep) $(DEMO_ARGS)

test: ## set up, then run every check and test (hosts need Docker and root)
	@rm -f .flip/skipped
	@$(MAKE) --no-print-directory -j2 setup lint-playbooks lint-infra
	@$(MAKE) --no-print-directory -j2 lint types
	@$(MAKE) --no-print-directory -j3 hosts unit infra WITHOUT_DOCKER=--or-skip
	@[ ! -e .flip/skipped ] || cat .flip/skipped

setup: ## the virtual environment and what the tests need
	@$(PYTHON) services/flipctl/bootstrap.py dev

lint: ## style and common mistakes
	$(V)/ruff check . && $(V)/ruff format --check .

lint-playbooks: ## the roles, playbooks and inventories
	@$(PYTHON) ansible/molecule/run.py --only-lint

lint-infra: ## what is open, unencrypted or unlogged in the stacks on AWS
	@$(PYTHON) infra/checkov/run.py

types: ## strict types
	$(V)/mypy services benchmarks ansible/federation

unit: ## every test but those of infra and those that need Docker
	$(V)/pytest --ignore=tests/infra

infra: ## the stacks on AWS, against a stand-in (needs OpenTofu or Terraform); mostly waits, so it runs beside others
	$(V)/pytest tests/infra

coverage: setup ## every test, and which lines of services/ none of them runs; takes twice as long
	$(V)/coverage erase && $(V)/coverage run -m pytest && $(V)/coverage combine -q && $(V)/coverage report --skip-covered

image-tests: setup ## build all images and run them, alone and then as `make up` does (needs Docker)
	@$(DOCKER) $(V)/pytest -m docker tests/images tests/flipctl/dev

hosts: setup ## build all images and run each, then every role on real systemd hosts, and `offline` (needs Docker and root; HOSTS_ARGS='flip_trust --suite trixie')
	@$(DOCKER) $(WITHOUT_DOCKER) $(V)/pytest -m docker tests/images tests/flip_airlock
	@$(DOCKER) $(WITHOUT_DOCKER) $(PYTHON) ansible/molecule/run.py --no-lint $(HOSTS_ARGS)

federation: setup ## a hub and two trusts on bare hosts with a firewall between, by the playbooks (needs Docker and root; KEEP=1 leaves them up)
	@PYTHONPATH=ansible:ansible/molecule $(DOCKER) $(V)/python -m federation $(if $(KEEP),--keep) $(FEDERATION_ARGS)

offline: ## the same with the hub and the TRE alone, whose bare host has no internet and a signed bundle (KEEP=1 leaves them up)
	@$(MAKE) --no-print-directory federation FEDERATION_ARGS='--only tre --rounds 2 $(FEDERATION_ARGS)'

format: ## write the code in the one format
	$(V)/ruff check --fix-only . && $(V)/ruff format .

lock: ## resolve constraints.txt anew
	$(V)/python -m flipctl.lock

openapi: ## write docs/openapi.json from the code
	$(V)/python -m flip_hub openapi --output docs/openapi.json

clean: ## remove the federation of `make up`, the virtual environment, caches and demo data
	$(if $(wildcard .flip/dev/hub),$(V)/flipctl dev down --data)
	rm -rf .venv .venv-hosts .venv-checkov .flip .mypy_cache .pytest_cache .ruff_cache .hypothesis build htmlcov services/*.egg-info services/flip/src/*.egg-info

# A federation of containers on this machine's Docker (docs/contributor.md). All verbs can be repeated.
build: setup ## build all images (BUILD_ARGS='--base ...')
	$(V)/flipctl images build $(BUILD_ARGS)

up: setup ## start the hub and both trusts from the images built, and wait until they are connected
	$(V)/flipctl dev up

up-no-trust: setup ## start the hub, its database and the FL server
	$(V)/flipctl dev up hub

central-hub: up-no-trust ## the same

up-trusts: setup ## start both trusts; the hub must have been started once
	$(V)/flipctl dev up trusts

up-local-trust: setup ## start the first trust alone
	$(V)/flipctl dev up Trust_1

down: ## stop and remove the containers; data stay
	$(V)/flipctl dev down

restart: ## down and up again, with what is built now
	$(V)/flipctl dev restart

restart-no-trust: ## the same for the hub's part
	$(V)/flipctl dev restart hub

create-networks: ## make the network that hub and trusts share
	$(V)/flipctl dev networks

debug: ## have SERVICE=x (hub, fl-server, trust-api, Trust_2/trust-api, ...) wait for a debugger on 127.0.0.1:5678
	$(V)/flipctl dev debug $(SERVICE)

debug-off: ## have SERVICE=x run as usual again
	$(V)/flipctl dev debug $(SERVICE) --off

debug-all: ## have every service wait for a debugger; prints the ports
	$(V)/flipctl dev debug --all

debug-off-all: ## have every service run as usual again
	$(V)/flipctl dev debug --all --off

generate-trust-api-keys: ## give every trust new keys at the hub; the old ones end
	$(V)/flipctl dev trust-keys

generate-internal-service-key: ## give hub and FL server a new key for their talk
	$(V)/flipctl dev internal-key

hub-bootstrap: setup ## the bucket for states and CI's identity of ENV=stag on AWS; asks before it applies (docs/hub-aws.md)
	@$(V)/flipctl hub bootstrap $(ENV)

hub-plan-local: setup ## what a hub on AWS would be, planned against a stand-in of AWS on this machine; needs no account
	@$(V)/python tests/support/hub_trial.py plan

hub-apply-local: setup ## the same applied, planned again and destroyed
	@$(V)/python tests/support/hub_trial.py apply

unit_test: setup unit infra ## every test, without lint and types

tests: test ## lint, types and every test

ci: ## what CI runs
	.ci/run
