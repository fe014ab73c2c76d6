# Every target sets up what it needs, is safe to repeat, and says what it does. `make help` lists them.
# JOBS: compilers at the same time (one of them takes up to 2 GB of memory).
JOBS ?= $(shell nproc)
# OUTPUT, SEED: of the demo.
OUTPUT ?= demo-output
SEED ?= 0
FUZZ_SECONDS ?= 300
.DEFAULT_GOAL := help
.PHONY: help setup configure build demo test bench goldens format lint asan fuzz cross-check clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  JOBS=2 limits the compilers at work (2 GB each); OUTPUT=demo-output SEED=0 are the demo's"

setup:  ## fetch what the system lacks: Debian packages and the C++ parts of pinned wheels (deps/)
	@echo "== setup: what deps/apt.txt and deps/wheels.txt name"
	@deps/fetch

configure: setup
	@echo "== configure: preset release, into build/"
	@cmake --preset release >build.log 2>&1 || { cat build.log; rm -f build.log; exit 1; }; rm -f build.log

build: configure  ## build the program, the tests and the benchmarks into build/
	@echo "== build: $(JOBS) jobs"
	@cmake --build build -- -j$(JOBS)

demo: configure  ## build the program, train a small model that sees on phantom images, examine it (four to six minutes on 2 cores)
	@echo "== build: the program, $(JOBS) jobs"
	@cmake --build build --target multimeditron multimeditron_engine -- -j$(JOBS)
	@echo "== demo: build/multimeditron demo --output $(OUTPUT) --seed $(SEED)"
	@build/multimeditron demo --output $(OUTPUT) --seed $(SEED)

test: build  ## build, then run every test: C++, Rust bridge, house rules
	@echo "== test"
	@cd build && ctest --output-on-failure -j2

bench: build  ## run the benchmarks of bench/
	@echo "== bench"
	@cmake --build build --target bench

goldens:  ## compute the goldens of tests/data again from the Python libraries (makes a 5 GB environment)
	@echo "== goldens: tests/reference/make_goldens"
	@tests/reference/make_goldens

format: setup  ## format every C++ and Rust source in place
	@echo "== format"
	@tests/house/tool clang-format
	@git ls-files -co --exclude-standard '*.cpp' '*.h' | xargs clang-format -i
	@if command -v rustfmt >/dev/null; then cargo fmt --manifest-path rust/Cargo.toml; else echo "note: no rustfmt here, Rust sources left as they are"; fi

lint: build  ## clang-tidy over src/, with the checks of .clang-tidy
	@echo "== lint"
	@tests/house/tool clang-tidy
	@run-clang-tidy -quiet -p build -j$(JOBS) "$(CURDIR)/src/.*"

asan: setup  ## build with the address and undefined-behaviour sanitizers into build-asan/, run the C++ tests
	@echo "== asan: preset asan"
	@cmake --preset asan >/dev/null
	@cmake --build build-asan -- -j$(JOBS)
	@cd build-asan && ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 ctest --output-on-failure -j2 -E '^(house|rust)\.'

fuzz: setup  ## libFuzzer on every parser of outside bytes, FUZZ_SECONDS=300 each (needs clang, which it installs)
	@echo "== fuzz: preset fuzz, $(FUZZ_SECONDS) seconds a parser"
	@tests/house/tool clang libclang-rt-14-dev
	@cmake --preset fuzz -DFUZZ_SECONDS=$(FUZZ_SECONDS) >/dev/null
	@cmake --build build-fuzz --target fuzz_targets -- -j$(JOBS)
	@cd build-fuzz && ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 ctest --output-on-failure -j$(JOBS) -R '^fuzz\.'

cross-check: setup  ## compile every source for 64-bit Arm (nothing is linked or run)
	@echo "== cross-check: src/ for aarch64"
	@JOBS=$(JOBS) tests/house/cross_check

# Not $(OUTPUT): that may come from the environment, where another program left it.
clean:  ## remove the build folders and demo-output/; what was fetched stays in .deps/
	@echo "== clean: build/ build-debug/ build-asan/ build-fuzz/ demo-output/"
	@rm -rf build build-debug build-asan build-fuzz demo-output
