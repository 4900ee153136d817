#!/bin/bash
# The same for aarch64: builds for the processors of most head units and runs the recorded-audio tests and the unit
# tests of everything below the daemon under emulation. A64_CPU picks the processor (cortex-a76 unless set: that of the
# SA8155P and the Raspberry Pi 5; cortex-a53 has no dot products; see `qemu-aarch64 -cpu help`).
# Which toolchain: tests/cross.sh. Where there is none, says so and succeeds: nothing was found wrong.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(uname -m)" = aarch64 ]; then
    echo "aarch64: this machine is one: its ordinary tests are these"
    exit 0
fi
. tests/cross.sh
# Nothing was found wrong where there is nothing to build with.
cross_toolchain || exit 0
# An emulated processor takes ten times as long: fewer random cases, each the same test.
export PROPTEST_CASES=${PROPTEST_CASES:-32}
# And fewer of the people's recordings.
export VOCAR_EMULATED=1
# Seconds on the wall say nothing about an emulated processor: the one unit test that bounds them is left out.
echo "SKIPPED under emulation: thousands_of_sentences_compile_fast_and_are_told_apart (bounds the time on the wall)"
cargo test --locked --no-fail-fast --profile cross --lib --test recordings \
    -p vocar-tests -p vocar-speech -p vocar-nlu -p vocar-hw -p vocar-inference \
    -- --nocapture --skip thousands_of_sentences_compile_fast
