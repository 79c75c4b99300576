# The development commands. `make` lists them. Each one installs what it needs, once.
# make PYTHON=python3.13 …    another Python (3.11 or newer)
# make test ARGS="-k wheel"   pass on to pytest
SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
endif
VERSION := $(shell "$(PYTHON)" -c 'import sys; v = sys.version_info; v >= (3, 11) and print(f"{v[0]}.{v[1]}")' 2>/dev/null)
# One stamp per Python. With another PYTHON, make creates the environments again.
LOCKED := .venv/.locked-$(VERSION)
READY := .venv/.m2g-$(VERSION)
MLFLOW2 := .venv-mlflow2/.locked-$(VERSION)
MLSERVER := .venv-mlserver/.locked-$(VERSION)
KUSTOMIZE := .tools/bin/kustomize
KUBECONFORM := .tools/bin/kubeconform
FLATE := .tools/bin/flate
FUZZ := .tools/fuzz/.locked-$(VERSION)
RUNS ?= 5000
UV := .tools/uv-venv/.locked
STORAGE := .tools/storage-venv/.locked
STORES := .tools/stores-venv/.locked
CONTRACT := .tools/contract/2.9/.locked .tools/contract/3.4/.locked
PIP := -m pip --disable-pip-version-check --no-input install --quiet
ARGS ?=
JOBS ?= 2
COMPILE := .tools/uv-venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(ARGS)
IN_VENV := PATH="$(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$$PATH"
PYTEST := $(IN_VENV) .venv/bin/python -m pytest -n $(JOBS)

.PHONY: help
help:
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

.PHONY: demo
demo: $(READY) $(MLSERVER) $(KUSTOMIZE) $(UV) ## show the whole workflow on a local MLflow store, in a new folder (DEMO=folder)
	@$(IN_VENV) .venv/bin/python demo/demo.py $(DEMO)

.PHONY: test
test: $(READY) $(MLFLOW2) $(MLSERVER) $(KUSTOMIZE) $(UV) $(STORES) ## all tests, offline
	$(PYTEST) $(ARGS)

.PHONY: quick
quick: $(READY) $(KUSTOMIZE) $(UV) ## the tests without servers, environments and trained models, in two minutes
	$(PYTEST) -m "not slow" $(ARGS)

.PHONY: check
check: $(READY) $(MLFLOW2) $(MLSERVER) $(KUSTOMIZE) $(UV) $(STORES) ## what CI runs: format, lint, types, import rules, tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	@find generator -name '*.py' -exec wc -l {} \; | awk '$$1 > 400 { print $$2 " has " $$1 " lines: can it be two modules?" }'
	$(PYTEST) $(ARGS)
	@$(MAKE) apiserver ARGS=

.PHONY: attack
attack: $(READY) $(MLFLOW2) $(MLSERVER) $(KUSTOMIZE) $(UV) $(STORES) ## the tests in which hostile input does no harm, in ten minutes
	$(PYTEST) -m attack $(ARGS)

.PHONY: apiserver
apiserver: $(READY) $(KUSTOMIZE) ## our schemas against a real Kubernetes API server, built once (5 minutes)
	@PYTHON="$(PYTHON)" tests/tools/apiserver/build "$(CURDIR)/.tools"
	$(PYTEST) -m apiserver tests/apiserver $(ARGS)

.PHONY: forge
forge: $(READY) $(KUSTOMIZE) ## what meets a real forge: a Gitea, built once (5 minutes; needs a C compiler)
	@PYTHON="$(PYTHON)" tests/tools/gitea/build "$(CURDIR)/.tools"
	$(PYTEST) -m forge tests/forge $(ARGS)

.PHONY: cluster
cluster: $(READY) $(KUSTOMIZE) $(STORAGE) ## what real Argo CD, Flux and Gitea do with a scaffold; builds them once (half an hour)
	@PYTHON="$(PYTHON)" tests/tools/apiserver/build "$(CURDIR)/.tools"
	@PYTHON="$(PYTHON)" tests/tools/gitea/build "$(CURDIR)/.tools"
	@PYTHON="$(PYTHON)" tests/tools/cluster/build "$(CURDIR)/.tools"
	$(PYTEST) --dist loadfile -m cluster tests/cluster $(ARGS)
	.venv/bin/python -m tests.support.cluster.outcome
	$(IN_VENV) .venv/bin/python docs/generate.py

.PHONY: golden
golden: $(READY) $(KUSTOMIZE) ## rewrite the golden directories; read the diff before you commit it
	$(PYTEST) --update-golden -k golden $(ARGS)

.PHONY: schemas
schemas: $(READY) $(KUSTOMIZE) $(UV) ## derive schemas/ again from its pinned sources (needs the network)
	PATH="$(CURDIR)/.tools/go-venv/bin:$$PATH" .venv/bin/python schemas/derive
	.venv/bin/python schemas/derive/intent.py
	.venv/bin/python schemas/derive/scaffold.py
	PATH="$(CURDIR)/.tools/go-venv/bin:$$PATH" .venv/bin/python schemas/derive/runtimes.py

.PHONY: lock
lock: $(UV) ## rewrite requirements/*.txt and template/ci (ARGS=--upgrade for newer versions)
	$(COMPILE) --extra local pyproject.toml requirements/dev.in --output-file requirements/dev.txt
	$(COMPILE) --no-annotate pyproject.toml requirements/ci.in --output-file template/ci/requirements.txt
	$(COMPILE) --no-annotate requirements/ci-models.in -c template/ci/requirements.txt \
	  --output-file 'template/ci/[% if smoke_test or image_registry %]requirements-models.txt[% endif %]'
	for name in mlflow2 mlflow29 mlflow34 mlserver uv go fuzz storage stores; do \
	  $(COMPILE) requirements/$$name.in --output-file requirements/$$name.txt || exit 1; done

# sdist, wheel, SBOM and checksums in dist/: built twice, compared, and tried on each Python that is here (needs the network).
.PHONY: release
release: $(READY)
	PYTHONPATH=. .venv/bin/python -m release.build --check

# make fuzz RUNS=100000 ARGS="MLmodel crd": fuzz everything that reads untrusted bytes; only on Linux.
.PHONY: fuzz
fuzz: $(READY) $(FUZZ)
	PYTHONPATH=.tools/fuzz:generator:. .venv/bin/python -m tests.fuzz.harness $(RUNS) .tools/fuzz-found $(ARGS)

.PHONY: clean
clean: # remove all that make has made (environments, tools, caches)
	rm -rf .venv .venv-mlflow2 .venv-mlserver .tools dist demo-repository .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What the commands above need. Each ends with a stamp file, so a second run does nothing.

.PHONY: python
python:
	@test -n "$(VERSION)" || { echo "m2g needs Python 3.11 or newer$(if $(PYTHON),; $(PYTHON) is not): make PYTHON=/path/to/python3 …" >&2; exit 1; }

$(LOCKED): requirements/dev.txt | python
	@echo "installing the locked packages into .venv (a minute or two) …"
	@rm -f .venv/.locked-* .venv/.m2g-*
	@$(call fresh,.venv)
	@.venv/bin/python $(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

$(READY): $(LOCKED) pyproject.toml
	@echo "installing m2g into .venv (editable) …"
	@.venv/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(MLFLOW2): requirements/mlflow2.txt | python
	@echo "installing MLflow 2.22 for the contract tests into .venv-mlflow2 (a minute) …"
	@rm -f .venv-mlflow2/.locked-*
	@$(call fresh,.venv-mlflow2)
	@.venv-mlflow2/bin/python $(PIP) --require-hashes -r requirements/mlflow2.txt
	@touch $@

$(MLSERVER): requirements/mlserver.txt | python
	@echo "installing MLServer for requests and smoke tests into .venv-mlserver (two minutes) …"
	@rm -f .venv-mlserver/.locked-*
	@$(call fresh,.venv-mlserver)
	@.venv-mlserver/bin/python $(PIP) --require-hashes -r requirements/mlserver.txt
	@touch $@

$(KUSTOMIZE): tests/tools/go.mod tests/tools/go.sum tests/tools/build requirements/go.txt | python
	@PYTHON="$(PYTHON)" tests/tools/build "$(CURDIR)/.tools"

$(KUBECONFORM): tests/tools/kubeconform/go.mod tests/tools/kubeconform/go.sum tests/tools/kubeconform/build | python
	@echo "building kubeconform into .tools/bin …"
	@PYTHON="$(PYTHON)" tests/tools/kubeconform/build "$(CURDIR)/.tools"

$(FLATE): tests/tools/flate/go.mod tests/tools/flate/go.sum tests/tools/flate/build | python
	@echo "building flate into .tools/bin (ten minutes) …"
	@PYTHON="$(PYTHON)" tests/tools/flate/build "$(CURDIR)/.tools"

.PHONY: bench
bench: $(READY) $(KUSTOMIZE) $(KUBECONFORM) $(FLATE) ## m2g beside its lower limits and other tools, on fleets of 10 to 10,000 models (ARGS="--sizes 10,100")
	@$(IN_VENV) .venv/bin/python -m bench $(ARGS)

# Rewrite docs/reference/validation-compared.md. Run `make apiserver` first to add the API server's column.
.PHONY: peers
peers: $(READY) $(KUBECONFORM)
	$(IN_VENV) .venv/bin/python -m tests.corpus.peers

# Rewrite tests/image/outcome.json: build and start the images of both profiles and of m2g, without Docker. Needs
# the network, root, and Debian's buildah and debootstrap; a quarter of an hour.
.PHONY: images
images: $(READY) $(MLSERVER) $(KUSTOMIZE) $(UV)
	@PYTHON="$(PYTHON)" tests/tools/images/build "$(CURDIR)/.tools"
	$(IN_VENV) PYTHONPATH=. .venv/bin/python -m tests.image.prove
	$(IN_VENV) .venv/bin/python docs/generate.py

# Rewrite tests/proof/outcome.json: what real serving environments and m2g smoke do with models of several MLflows.
# Needs Python 3.10, which serving images have: on PATH as python3.10, or PYTHON310=…; half an hour.
.PHONY: proof
proof: $(READY) $(UV)
	$(IN_VENV) PYTHONPATH=generator:. .venv/bin/python -m tests.proof
	$(IN_VENV) .venv/bin/python docs/generate.py

# Rewrite tests/proof/environments-outcome.json: models of several MLflows and Pythons in the environments they share.
# Needs Python 3.10 to 3.13: on PATH, of pyenv or uv, or PYTHON310=…; PyPI; half an hour.
.PHONY: environments
environments: $(READY) $(UV)
	$(IN_VENV) PYTHONPATH=generator:. .venv/bin/python -m tests.proof.environments
	$(IN_VENV) .venv/bin/python docs/generate.py

# Rewrite tests/contract/outcome.json: the registry's tests against real servers of MLflow 2.9, 2.22, 3.4 and the newest.
.PHONY: contract
contract: $(READY) $(MLFLOW2) $(CONTRACT)
	$(IN_VENV) .venv/bin/python -m tests.contract
	$(IN_VENV) .venv/bin/python docs/generate.py

.tools/contract/2.9/.locked: requirements/mlflow29.txt | python
.tools/contract/3.4/.locked: requirements/mlflow34.txt | python
$(CONTRACT):
	@echo "installing $< into $(@D) (a minute) …"
	@mkdir -p $(@D)
	@$(call fresh,$(@D))
	@$(@D)/bin/python $(PIP) --require-hashes -r $<
	@touch $@

$(STORES): requirements/stores.txt | python
	@echo "installing a real S3 server and the packages of cloud stores into .tools/stores-venv …"
	@$(call fresh,.tools/stores-venv)
	@.tools/stores-venv/bin/python $(PIP) --require-hashes -r requirements/stores.txt
	@touch $@

$(FUZZ): requirements/fuzz.txt $(LOCKED)
	@echo "installing atheris into .tools/fuzz …"
	@rm -rf .tools/fuzz
	@.venv/bin/python $(PIP) --require-hashes --target .tools/fuzz -r requirements/fuzz.txt
	@touch $@

$(UV): requirements/uv.txt | python
	@echo "installing uv into .tools/uv-venv …"
	@$(call fresh,.tools/uv-venv)
	@.tools/uv-venv/bin/python $(PIP) --require-hashes -r requirements/uv.txt
	@touch $@

$(STORAGE): requirements/storage.txt | python
	@echo "installing KServe's storage initializer into .tools/storage-venv …"
	@$(call fresh,.tools/storage-venv)
	@.tools/storage-venv/bin/python $(PIP) --require-hashes -r requirements/storage.txt
	@touch $@

# Create the environment $1 with the chosen Python, unless it exists with that Python.
fresh = "$1/bin/python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(VERSION)")' 2>/dev/null \
  || "$(PYTHON)" -m venv --clear "$1"
