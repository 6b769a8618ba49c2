# The one entry point for building, checking, testing and installing.

PREFIX  ?= /usr/local
DESTDIR ?=
# Seconds per fuzz target, for `make fuzz`; SECONDS=N says the same.
FUZZ_SECONDS ?= $(or $(SECONDS),60)
# Multiplies the swaps of bind sources: 25 launches of 16 mounts each; launches through each client.
SWAPS ?= 25
CLIENT_SWAPS ?= 300

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# .cargo/config.toml builds for a named target, so cargo adds its name to the path.
HOST    := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
FAST    := $(TARGET_DIR)/$(HOST)/release-fast/pinfold
# What is installed is built with musl, which starts in half of glibc's time, where the compiler has or gets it.
MUSL    := $(shell uname -m)-unknown-linux-musl
TARGET   = $(shell test -d "$$(rustc --print sysroot)/lib/rustlib/$(MUSL)" && echo $(MUSL) || echo $(HOST))
RELEASE  = $(TARGET_DIR)/$(TARGET)/release/pinfold
# What `make install` installs, with pinfold-fetch from beside it. It needs no compiler of root's.
BINARY  ?= $(firstword $(wildcard $(TARGET_DIR)/$(MUSL)/release/pinfold $(TARGET_DIR)/*/release/pinfold))

bindir  := $(DESTDIR)$(PREFIX)/bin
libexec := $(DESTDIR)$(PREFIX)/libexec/pinfold
datadir := $(DESTDIR)$(PREFIX)/share

.PHONY: help build check deny test vm vm-systemd vm-selinux soak faults escape escape-peers fuzz bench install uninstall clean

help:
	@echo 'make build      the static binaries, below $(TARGET_DIR)'
	@echo 'make check      formatting, lints, documentation, and cargo deny where it is installed'
	@echo 'make deny       licences, advisories and sources of the dependencies'
	@echo 'make test       all tests, here and in the virtual machine; installs what they need'
	@echo 'make vm         only those in the virtual machine; FILTER=TEXT for some of them'
	@echo 'make vm-systemd only those in the virtual machine that systemd runs; FILTER=TEXT for some'
	@echo 'make vm-selinux only those in the virtual machine that enforces SELinux'
	@echo 'make soak       races, random kills and sequences of launches, ten times as many'
	@echo 'make faults     every system call of a launch failing in turn, and the table of what it came to'
	@echo 'make escape     attacks on RUNTIME=PATH, or on this pinfold; make escape-peers: on runc, crun and youki'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make bench      comparison with crun, runc, bubblewrap, umoci and tar'
	@echo 'make install    binary, man pages, completions; PREFIX=$(PREFIX) DESTDIR= BINARY='
	@echo 'make uninstall  what install put there'

build:
	@rustup target add $(MUSL) >/dev/null 2>&1 || echo 'build: this compiler has no musl; the binary will start slower' >&2
	cargo build --release --locked --target $(TARGET)
	cargo build --release --locked --target $(TARGET) --package pinfold-fetch

check:
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items --locked
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; \
	else echo 'check: cargo deny is not installed, so dependencies were not checked'; fi

deny:
	@cargo deny --version >/dev/null || { echo 'deny: cargo install --locked cargo-deny' >&2; exit 1; }
	cargo deny check

test:
	tests/all.sh

vm:
	tests/setup.sh
	cargo build --profile release-fast --locked
	tests/vm/run.sh $(FAST) $(FILTER)

vm-systemd:
	tests/setup.sh
	cargo build --profile release-fast --locked
	tests/vm/run.sh --systemd $(FAST) $(FILTER)

vm-selinux:
	tests/setup.sh
	cargo build --profile release-fast --locked
	tests/vm/run.sh --selinux $(FAST) $(FILTER)

# The same tests with the counts that take their time.
soak:
	tests/setup.sh host registry
	cargo build --profile release-fast --locked --package pinfold-fetch
	PINFOLD_TEST_COUNT=10 cargo test --profile release-fast --locked --test pinned_binds --test ending --test rootless --test races --test soak --test unpack --test images --test registry -- --nocapture
	PINFOLD_TEST_COUNT=$(SWAPS) cargo test --profile release-fast --locked --test swaps -- --nocapture
	tests/setup.sh clients peers images
	cargo build --profile release-fast --locked
	tests/unpack/control.sh "$$(cargo test --profile release-fast --locked --test unpack --no-run --message-format json | \
		jq -r 'select(.profile.test? and .target.name == "unpack") | .executable')"
	tests/tools_image.sh $(FAST)
	COUNT=$(CLIENT_SWAPS) DEADLINE=86400 tests/clients/run.sh $(FAST) swaps/v1

# Verb, call and errno, and what the launch came to: faults.tsv below target.
faults:
	tests/setup.sh host
	PINFOLD_TEST_COUNT=10 cargo test --profile release-fast --locked --test faults
	sort -u $(TARGET_DIR)/$(HOST)/tmp/faults-*.tsv >$(TARGET_DIR)/faults.tsv
	awk -F '\t' '$$1 != "verb" { n[$$1 " " $$4] += $$5 } END { for (k in n) print n[k], k }' $(TARGET_DIR)/faults.tsv | sort -k 2

# Attacks on pinfold, or on any other OCI runtime.
escape:
	cargo build --profile release-fast --locked
	$(FAST) selftest escapes $(if $(RUNTIME),--runtime $(RUNTIME))

# The same on those of Debian sid, and on those of Debian 12 as controls.
escape-peers:
	tests/setup.sh peers youki old
	cargo build --profile release-fast --locked
	tests/escape/peers.sh $(FAST)

# By libFuzzer, which wants nightly; `cargo test --test corpora` replays the corpora without.
fuzz:
	fuzz/run.sh $(FUZZ_SECONDS)

bench: build
	tests/setup.sh host peers youki
	benches/run.sh $(RELEASE)
	benches/unpack.sh "$$(cargo test --release --target $(TARGET) --test unpack --locked --no-run --message-format json | \
		jq -r 'select(.profile.test? and .target.name == "unpack") | .executable')"

# Built before: `sudo make install` compiles nothing.
install:
	@test -n "$(BINARY)" -a -x "$(BINARY)" -a -x "$(dir $(BINARY))pinfold-fetch" || { echo 'install: run `make build` first' >&2; exit 1; }
	install -D -m 0755 $(BINARY) $(bindir)/pinfold
	install -D -m 0755 $(dir $(BINARY))pinfold-fetch $(libexec)/pinfold-fetch
	install -d $(datadir)/man/man1
	$(BINARY) man $(datadir)/man/man1
	install -d $(datadir)/bash-completion/completions $(datadir)/zsh/site-functions $(datadir)/fish/vendor_completions.d
	$(BINARY) completion bash >$(datadir)/bash-completion/completions/pinfold
	$(BINARY) completion zsh >$(datadir)/zsh/site-functions/_pinfold
	$(BINARY) completion fish >$(datadir)/fish/vendor_completions.d/pinfold.fish
	install -d $(datadir)/doc/pinfold
	install -m 0644 LICENSE $(wildcard *.md) $(datadir)/doc/pinfold
	for folder in docs rootfs examples/sentinel examples/policy examples/callers seccomp-profiles; do \
		install -d $(datadir)/doc/pinfold/$$folder && \
		install -m 0644 $$(find $$folder -maxdepth 1 -type f) $(datadir)/doc/pinfold/$$folder || exit 1; done

uninstall:
	rm -f $(libexec)/pinfold-fetch
	rmdir $(libexec) 2>/dev/null || true
	rm -f $(bindir)/pinfold $(datadir)/man/man1/pinfold.1 $(datadir)/man/man1/pinfold-*.1
	rm -f $(datadir)/bash-completion/completions/pinfold $(datadir)/zsh/site-functions/_pinfold
	rm -f $(datadir)/fish/vendor_completions.d/pinfold.fish
	rm -rf $(datadir)/doc/pinfold

clean:
	cargo clean
