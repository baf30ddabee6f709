# The commands people type. `make check` is the one list of checks, for people and for CI alike.

SEED ?= 1
CALLS ?= 10000
COMMANDS ?= 1000
RATE ?= 250
PYTHON2 ?= python2.7

.DEFAULT_GOAL := help
.PHONY: help check tools format lint test doc dependencies bench-build bench bless sim-long sim soak load autobahn demo

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# One shell command a step, so that the order holds under `make -j` too.
check: ## everything below that can fail, in this order, up to the first failure
	$(MAKE) tools
	$(MAKE) format
	$(MAKE) lint
	$(MAKE) test
	$(MAKE) doc
	$(MAKE) dependencies
	$(MAKE) bench-build

tools: ## install the phones, clients and browser of the tests, when they are missing (Debian, Ubuntu)
	scripts/install-tools

format: ## is the code formatted?
	cargo fmt --all --check

lint: ## clippy, warnings are errors
	cargo clippy --workspace --all-targets -- -D warnings

test: ## every test, the real phones included
	cargo test --workspace

doc: ## build the documentation, warnings are errors
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps

dependencies: ## do the crates depend in one direction only?
	scripts/check-dependencies

bench-build: ## do the benchmarks compile?
	cargo bench --workspace --bench '*' --no-run

bench: ## run the benchmarks
	cargo bench --workspace --bench '*'

bless: ## accept what the tests got as what they expect
	UPDATE_EXPECT=1 cargo test --workspace

sim-long: ## 200,000 simulated runs, ten times as many as `make test`: before a release
	SEEDS=200000 cargo test --release -p engine --test simulation -- --nocapture

sim: ## replay one simulation: make sim SEED=7
	SEED=$(SEED) cargo test -p engine --test simulation -- --nocapture

soak: ## the journal under fire, in large: kills, cut sockets, a crowd; prints what it measured
	cargo test --release -p call-api --test journal -- --ignored --nocapture --test-threads 1

load: ## twice 10,000 calls by sipp, with commands on them: make load CALLS=10000 COMMANDS=1000 RATE=250
	LOAD_CALLS=$(CALLS) LOAD_COMMANDS=$(COMMANDS) LOAD_RATE=$(RATE) LOAD_ROUNDS=2 CALL_API_LOG_LEVEL=INFO \
		cargo test --release -p call-api --test load

autobahn: ## the Autobahn suite for WebSockets, by a Python 2.7: make autobahn PYTHON2=python2.7
	PYTHON2=$(PYTHON2) scripts/autobahn

demo: ## a call between software phones on this machine, and what a client reads of it
	cargo run --release -- demo
