# Roundtable's front door. `make help` lists what there is.

# Where rustup puts cargo: found also in the shell that was open before cargo was installed.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

# Through `env`, because the make that macOS ships looks programs up in the PATH it was started with.
CARGO := env cargo

# The fuzz crate is a workspace of its own, built beside the program's own files.
FUZZ := --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

# All that is built for tests and lints, the optional parts too.
ALL := --locked --workspace --features roundtable/relay

VENV := target/speech-venv
# Tests that score recordings run tests/speech/score.py with this interpreter.
export SPEECH_PYTHON := $(CURDIR)/$(VENV)/bin/python

.DEFAULT_GOAL := help

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: ## Install what is missing, build, and hold a call between two ends on this machine
	@sh scripts/setup.sh build
	@echo "Building roundtable (some minutes the first time) ..." && $(CARGO) build --locked --profile demo --bin roundtable
	@$(CARGO) run --quiet --locked --profile demo --bin roundtable -- demo

.PHONY: test
test: ## Install what is missing and run every test
	@sh scripts/setup.sh test
	@$(MAKE) --no-print-directory $(VENV)/ready
	@$(SPEECH_PYTHON) -m unittest discover --start-directory tests/speech
	@$(CARGO) test $(ALL) --no-fail-fast
	@$(CARGO) test $(FUZZ)
	@$(CARGO) check $(FUZZ) --features libfuzzer --bins

# The scoring's Python packages, in a place of their own. PESQ is compiled here, so this takes a while once.
$(VENV)/ready: tests/speech/requirements.txt
	@echo "Preparing the Python packages that score speech ..." && rm -rf $(VENV) && python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --use-pep517 --requirement $< && touch $@

.PHONY: voice
voice: $(VENV)/ready ## Delay and quality of the voice on each kind of network; ARGS="--seeds 1 --json FILE ..."
	@$(CARGO) build --locked --release -p netsim
	@$(MAKE) --no-print-directory $(VENV)/ready-voice || echo "Without them there is no PLCMOS."
	@$(SPEECH_PYTHON) tests/speech/table.py --netsim target/release/netsim $(ARGS)

# Only the table has use for these, so what they lack on a machine stops no test.
$(VENV)/ready-voice: tests/speech/requirements-voice.txt $(VENV)/ready
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $< && touch $@

.PHONY: lint
lint: ## Formatting, clippy, documentation, and licences where cargo-deny is installed
	@$(CARGO) fmt --all --check && $(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	@$(CARGO) clippy $(ALL) --all-targets -- --deny warnings
	@$(CARGO) clippy --locked -- --deny warnings
	@$(CARGO) clippy --locked --no-default-features --all-targets -- --deny warnings
	@$(CARGO) clippy $(FUZZ) --all-targets -- --deny warnings
	@RUSTDOCFLAGS="--deny warnings --allow rustdoc::private-intra-doc-links" $(CARGO) doc $(ALL) --no-deps --document-private-items
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check licenses bans; else \
	    echo "cargo-deny is not installed: licences are checked by 'make test' (tests/licences.rs) only"; fi

.PHONY: watch
watch: ## Check the code each time a file is saved (uses bacon where it is installed)
	@if command -v bacon >/dev/null; then exec bacon; fi; \
	echo "'cargo install --locked bacon' brings a nicer view; checking after each change, Ctrl-C ends."; \
	mkdir -p target; while :; do touch target/.watched; cargo check --workspace --all-targets; \
	    until [ -n "$$(find Cargo.toml src protocol netsim tests -name '*.rs' -newer target/.watched)" ]; do sleep 1; done; done
