# Short names for the project's commands; what they do is in the Python modules they run.
STACK ?= dev
PORT ?= 8000
BASE ?= main
WATCH ?= 0
MINUTES ?= 60

RUN := .venv/bin/python -m
READY := .venv/ready
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header $(LOCK)

# Some machines forbid Python to keep its compiled files; pulumi_aws then takes 4 s longer at every start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup up down preview serve image tools test test-quick check bench soak lock pin policy cost review pipeline deploy-plan deploy-apply

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Variables: STACK=dev|prod, PORT=8000"

setup: $(READY) ## Make .venv with the pinned packages (the others do it when needed)
	@:

$(READY): requirements/dev.txt requirements/uv.txt tools/setup.py
	@python3 tools/setup.py

up: $(READY) ## Apply STACK on the embedded cloud and start the service on PORT
	@$(RUN) stacks.up --stack '$(STACK)' --port '$(PORT)'

down: $(READY) ## Stop the service, destroy STACK on the embedded cloud, remove what they kept
	@$(RUN) stacks.down --stack '$(STACK)'

preview: $(READY) ## Show what STACK is made of, in process and without any cloud
	@$(RUN) stacks.capture --stack '$(STACK)'

policy: $(READY) ## Check STACK against policies/, in process and without any cloud
	@$(RUN) policies --stack '$(STACK)'

review: $(READY) ## Show what this checkout changes against BASE (main): dangers, policy, cost
	@$(RUN) stacks.review --base '$(BASE)'

pipeline: $(READY) ## Run the deploy path for STACK against the embedded cloud: plan, apply, smoke test, or back
	@$(RUN) stacks.delivery pipeline --stack '$(STACK)'

deploy-plan: $(READY) ## Preview STACK on AWS, review it against BASE, bind it to commit and state (IMAGE=repository@digest)
	@$(RUN) stacks.delivery plan --stack '$(STACK)' --base '$(BASE)' --output build/plan $(ACCEPT) $(if $(IMAGE),--image '$(IMAGE)')

deploy-apply: $(READY) ## Apply the plan in build/plan if nothing changed, then ask URL (WATCH=minutes, DIGEST=the reviewed one)
	@$(RUN) stacks.delivery apply --stack '$(STACK)' --plan build/plan/plan.json --url '$(URL)' --watch '$(WATCH)' \
		--digest '$(or $(DIGEST),$(shell cat build/plan/digest 2>/dev/null))' $(if $(IMAGE),--image '$(IMAGE)')

cost: $(READY) ## Estimate what STACK costs a month, in process and without any cloud
	@$(RUN) stacks.cost --stack '$(STACK)'

serve: $(READY) ## Run the service in the foreground on PORT
	@$(RUN) app serve --port '$(PORT)'

image: $(READY) ## Build and push this commit's image and write its digest into STACK; prod takes dev's
	@$(RUN) stacks.image --stack '$(STACK)'

tools: $(READY) ## Find, download or build the pinned binaries
	@$(RUN) tools.obtain

test: $(READY) ## Run every tier of tests that this machine can run, and say which it cannot
	@$(RUN) tools.tiers

test-quick: $(READY) ## Run the tests that need Python packages only
	@$(RUN) tools.tiers --quick

check: $(READY) ## Lint, formatting, types, workflows, and the age of the price table
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) basedpyright
	@$(RUN) tools.workflows
	@$(RUN) stacks.cost prices

bench: $(READY) ## Measure in short: previews against the engine's, the service against a plain handler
	@$(RUN) tests.bench --quick
	@$(RUN) app bench --quick

soak: $(READY) ## Random faults under load for MINUTES, every promise checked after each round
	@$(RUN) tests.faults.soak --minutes '$(MINUTES)'

lock: $(READY) ## Resolve the requirement files again (LOCK=--upgrade for newer versions)
	@$(COMPILE) pyproject.toml --group app --group infra --group dev -o requirements/dev.txt
	@$(COMPILE) pyproject.toml --group app -c requirements/dev.txt -o requirements/app.txt
	@$(COMPILE) pyproject.toml --group infra -c requirements/dev.txt -o requirements/infra.txt
	@echo uv | $(COMPILE) - -o requirements/uv.txt
	@echo checkov | $(COMPILE) - -o requirements/referee.txt

pin: $(READY) ## Show newer versions of add-ons and base image, asked of AWS and the registry (APPLY=--apply writes)
	@$(RUN) stacks.pin --stack '$(STACK)' $(APPLY)
