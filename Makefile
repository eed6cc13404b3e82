# make demo: the main job.  make test: the tests.  Both set everything up by themselves.
VENV := .venv
STAMP := $(VENV)/.ready

setup: $(STAMP)

$(STAMP): requirements/dev.txt
	@sh bootstrap.sh $(VENV)
	@touch $(STAMP)

demo: $(STAMP)
	@$(VENV)/bin/invoke demo

test: $(STAMP)
	$(VENV)/bin/python -m pytest -n 4 --cov --cov-report= tests/unit tests/http tests/hub tests/serving tests/acceptance
	$(VENV)/bin/python -m pytest tests/package tests/registry tests/cluster tests/images tests/engine tests/hosts tests/e2e

check: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python scripts/check_words.py
	$(VENV)/bin/hadolint images/*/*Dockerfile
	$(VENV)/bin/actionlint -config-file .github/actionlint.yaml -shellcheck= .github/workflows/*.yml

reference: $(STAMP)
	$(VENV)/bin/python -m scripts.generate_reference
	$(VENV)/bin/python -m launch.diagnosis.docs_page > docs/reference/symptoms.md

tiny-model: $(STAMP)
	$(VENV)/bin/invoke build --platform cpu
	$(VENV)/bin/python -m scripts.tiny_model

pictures: $(STAMP)
	$(VENV)/bin/python scripts/record_terminal.py docs/assets/plan --lines 22 -- slipway plan --hardware h200 --gpus 4

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

lock: $(STAMP)
	$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements/run.txt
	$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --group dev -o requirements/dev.txt

cluster: $(STAMP)
	$(VENV)/bin/python -m tests.cluster.binaries

engine: $(STAMP)
	@$(VENV)/bin/python -m launch.engine.install ensure

engine-stop:
	@python3 -m launch.engine.install stop

clean:
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: setup demo test check reference tiny-model pictures docs lock cluster engine engine-stop clean
