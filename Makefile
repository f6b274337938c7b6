# Every target is one line that calls a real tool. `make help` lists them.
PYTHON ?= python3
V := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo test setup lint types unit image-tests hosts format lock openapi clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/' | column -t -s "$$(printf '\t')"

demo: ## a hub and two trusts on this machine train on real images (KEEP=1 leaves them up)
	@$(PYTHON) services/flipctl/bootstrap.py demo && exec $(V)/flipctl demo $(if $(KEEP),--keep) $(DEMO_ARGS)

test: setup lint types unit ## set up, then run every check and test

setup: ## the virtual environment and what the tests need
	@$(PYTHON) services/flipctl/bootstrap.py dev

lint: ## style and common mistakes
	$(V)/ruff check . && $(V)/ruff format --check .

types: ## strict types
	$(V)/mypy services benchmarks

unit: ## every test, with coverage of services/
	$(V)/coverage erase && $(V)/coverage run -m pytest && $(V)/coverage combine -q && $(V)/coverage report --skip-covered

image-tests: setup ## build all images and run them (needs Docker; part of make hosts)
	$(V)/pytest -m docker tests/images

hosts: image-tests ## lint the playbooks and run every role on real systemd hosts (needs Docker, and root the first time)
	@$(PYTHON) ansible/molecule/run.py

format: ## write the code in the one format
	$(V)/ruff check --fix-only . && $(V)/ruff format .

lock: ## resolve constraints.txt anew
	$(V)/python -m flipctl.lock

openapi: ## write docs/openapi.json from the code
	$(V)/python -m flip_hub openapi --output docs/openapi.json

clean: ## remove the virtual environment, caches and demo data
	rm -rf .venv .venv-hosts .flip .mypy_cache .pytest_cache .ruff_cache .hypothesis build htmlcov services/*.egg-info services/flip/src/*.egg-info
