# make repro   the whole pipeline on the current params.yaml, trainings side by side, then the table
# make quick   units of the method, the protocol and what they read: no training, no `dvc repro`, no other program
# make test    the tests, on all cores; .ci/run adds those marked long (pipelines again and again), make test-all also those that
#              take minutes each, or install and start services
# make lint    ruff and mypy
# make lock    requirements.lock and serve.lock (the image's), with hashes, from pyproject.toml; present versions stay
#              (make lock LOCK=--upgrade)
# make soak        damaged files, kills, signals, full disks, races; writes docs/reliability.md (half an hour)
# make portability   compare bytes with emulated Intel and AMD processors (needs Debian's qemu-user)
# make gpu           check and measure what needs a GPU, on yours; writes gpu.md (some minutes)
# make bench         measure speed beside peers; writes docs/performance.md
# make scale         every stage at full size on a sample (SCALE=FOLDER keeps it; CITYPERSONS names the annotations); writes docs/scale.md
# make fidelity      write docs/fidelity.md
# make miss-rate     write the tables of docs/miss-rate.md
SHELL := /bin/bash
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: environment repro quick test test-all lint lock soak portability fidelity miss-rate gpu bench scale

# The copy of the lock file in .venv tells which versions it holds: it is built when missing or of other versions.
environment:
	@cmp -s requirements.lock .venv/requirements.lock || { set -e; \
	  echo "Building .venv from requirements.lock (once, some minutes)"; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python3 >= 3.11 is needed, this is " + sys.version)'; \
	  $(PYTHON) -m venv --clear .venv; \
	  "$(BIN)/python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock; \
	  "$(BIN)/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	  cp requirements.lock .venv/requirements.lock; }

repro: environment
	@alfnet check
	@alfnet launch
	@alfnet artifacts >/dev/null
	@alfnet table

# A file's tests stay in one process, so that they share what is made once, in the order of tests/conftest.py; each process
# computes with one thread.
TOGETHER := -n auto --dist loadfile --no-loadscope-reorder
UNITS := $(wildcard $(patsubst %,tests/test_%.py,annotations_[!r]* boxes_* detection_* evaluation_* network_* reading_* \
  report_[!cr]* training_* docs errors files images outputs params profiles structure supply yaml_file))
quick: environment
	@OMP_NUM_THREADS=1 python -m pytest $(TOGETHER) $(UNITS) \
	  -m 'not costly and not slow and not long and not training and not pipeline and not fresh'

schema: environment
	@alfnet schema

slurm: environment
	@python -m pytest -m slurm tests/test_launch.py

TESTS ?= not slow and not long and not fresh and not slurm
test: environment
	@OMP_NUM_THREADS=1 python -m pytest $(TOGETHER) -m '$(TESTS)'

# What takes minutes each: exports, several processes, compilation, queues, a fresh installation, a real Slurm.
test-all: environment
	@OMP_NUM_THREADS=1 python -m pytest $(TOGETHER)

lint: environment
	@ruff check .
	@ruff format --check .
	@mypy

lock:
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	  $(PYTHON) -m venv "$$scratch"; "$$scratch/bin/python" -m pip install -q --disable-pip-version-check uv; \
	  "$$scratch/bin/uv" pip compile -q pyproject.toml --extra dev --generate-hashes --python-version 3.11 \
	    --python-platform x86_64-manylinux_2_28 --custom-compile-command 'make lock' $(LOCK) -o requirements.lock; \
	  "$$scratch/bin/uv" pip compile -q pyproject.toml --extra serve --constraint requirements.lock --no-annotate \
	    --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	    --custom-compile-command 'make lock' -o serve.lock

soak: environment
	@python -m tools.soak

portability: environment
	@python -m tools.portability

fidelity: environment
	@python -m tools.fidelity

miss-rate: environment
	@python -m tools.miss_rate_table

gpu: environment
	@python -m tools.gpu

bench: environment
	@python -m benchmarks

SCALE ?= .scratch/scale
scale: environment
	@python -m tools.scale --folder '$(SCALE)'
