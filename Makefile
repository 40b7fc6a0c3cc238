# Each target says what it does: `make help` prints the lines that begin with two hashes.

PREFIX ?= /usr/local
DESTDIR ?=
PYTHON = /usr/bin/python3

.PHONY: help demo test proof lint unit oracle kernel bench bench-lvm bench-lists bench-dm man install uninstall deb clean

## help    list the targets
help:
	@sed -n 's/^## /make /p' $(MAKEFILE_LIST)

## demo    make volumes with a real device mapper, in a machine of its own; nothing here is touched
demo:
	@tools/setup run
	@examples/demo

## test    run everything: lint, types, layering, unit, oracle and kernel tests
test:
	@tools/setup test
	@tools/test

## proof   kill commands, cut the power, damage inputs; writes the figures of docs/reliability.md (hours)
proof:
	@tools/setup test
	@tools/proof $(POINTS) $(FUZZING) $(CUTS)

## lint    ruff, mypy and the layering contracts only
lint:
	@tools/setup test
	@.venv/bin/pytest -q tests/unit/test_lint.py

## unit    the tests that need neither lvm2 nor a kernel
unit:
	@tools/setup test
	@.venv/bin/pytest -q tests/unit tests/golden

## oracle  the tests that ask Debian's lvm2
oracle:
	@tools/setup test
	@tools/test oracle

## kernel  the tests that need a real device mapper, in the lab
kernel:
	@tools/setup test
	@tools/test kernel

## bench   times and memory as ratios against Debian's lvm2 and dmsetup, in one run
bench: bench-lvm bench-lists bench-dm

# Against lvm2 on loop devices: needs root.
bench-lvm:
	@tools/setup test
	@.venv/bin/python bench/bench.py

## bench-lists commands over many volumes, without a kernel and on live devices in the lab
bench-lists:
	@tools/setup test
	@.venv/bin/python bench/bench_lists.py
	@.venv/bin/python bench/bench_lists.py --kernel

## bench-dm the device-mapper library against dmsetup, 1000 devices, in the lab
bench-dm:
	@tools/setup test
	@.venv/bin/python bench/bench_dm.py

## man     bring the generated parts of the man pages up to date
man:
	@tools/setup test
	@.venv/bin/python -m vmgr.cli.manual

## install lay down vmgr below DESTDIR + PREFIX, for the interpreter PYTHON (/usr/local, /usr/bin/python3)
install:
	@tools/setup package
	@.venv/bin/python tools/install.py install --prefix "$(PREFIX)" --destdir "$(DESTDIR)" --python "$(PYTHON)"

## uninstall remove what `make install` with the same variables laid down
uninstall:
	@tools/setup package
	@.venv/bin/python tools/install.py uninstall --prefix "$(PREFIX)" --destdir "$(DESTDIR)" --python "$(PYTHON)"

## deb     build a Debian package in dist/
deb:
	@tools/setup package
	@.venv/bin/python tools/deb.py

## clean   remove what the targets above made
clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
