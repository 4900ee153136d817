#!/bin/bash
# The same for aarch64: builds for the processors of most head units and runs the recorded-audio tests and the unit
# tests of everything below the daemon under emulation. A64_CPU picks the processor (cortex-a76 unless set: that of the
# SA8155P and the Raspberry Pi 5; cortex-a53 has no dot products; see `qemu-aarch64 -cpu help`).
#
# The cross toolchain is, whichever is there first,
#   * that of the system: `rustup target add aarch64-unknown-linux-gnu`, and from a Debian with the arm64 architecture
#     added gcc-aarch64-linux-gnu, qemu-user-static and libasound2-dev:arm64;
#   * one made by tools/setup-aarch64.sh in the shared folder beside the checkout ($VOCAR_SHARED), kept in target/.
# Where there is neither, says so and succeeds: nothing was found wrong.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
setup=${VOCAR_SHARED:-../shared}/tools/setup-aarch64.sh
alsa=/usr/lib/aarch64-linux-gnu/pkgconfig
export A64_CPU=${A64_CPU:-cortex-a76}

qemu() {
    command -v qemu-aarch64-static || command -v qemu-aarch64
}
lacking() { # what the system's own toolchain lacks, a line each
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || echo "the Rust target: rustup target add $target"
    command -v aarch64-linux-gnu-gcc >/dev/null || echo "the linker: apt-get install gcc-aarch64-linux-gnu"
    qemu >/dev/null || echo "the emulator: apt-get install qemu-user-static"
    [ -e "$alsa/alsa.pc" ] ||
        echo "ALSA: dpkg --add-architecture arm64 && apt-get update && apt-get install libasound2-dev:arm64"
}
use_the_systems() {
    export CARGO_BUILD_TARGET=$target CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$(qemu) -L / -cpu $A64_CPU"
    export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc PKG_CONFIG_ALLOW_CROSS=1
    export PKG_CONFIG_LIBDIR_aarch64_unknown_linux_gnu=$alsa
}

if [ "$(uname -m)" = aarch64 ]; then
    echo "aarch64: this machine is one: its ordinary tests are these"
    exit 0
fi
problems=$(lacking)
if [ -z "$problems" ]; then
    echo "aarch64: with the system's toolchain, on an emulated $A64_CPU"
    use_the_systems
elif [ -f "$setup" ]; then
    echo "aarch64: with the toolchain of $setup, on an emulated $A64_CPU"
    bash "$setup" target/aarch64-toolchain
    . target/aarch64-toolchain/env.sh
else
    echo "SKIPPED: the build for aarch64 and its tests under emulation: $setup is not there and the system lacks"
    echo "$problems" | sed 's/^/  /'
    exit 0
fi
# Another compiler than the host's: its work is kept apart.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/aarch64
# An emulated processor takes ten times as long: fewer random cases, each the same test.
export PROPTEST_CASES=${PROPTEST_CASES:-32}
# And fewer of the people's recordings.
export VOCAR_EMULATED=1
# Seconds on the wall say nothing about an emulated processor: the one unit test that bounds them is left out.
echo "SKIPPED under emulation: thousands_of_sentences_compile_fast_and_are_told_apart (bounds the time on the wall)"
cargo test --locked --no-fail-fast --profile cross --lib --test recordings \
    -p vocar-tests -p vocar-speech -p vocar-nlu -p vocar-hw -p vocar-inference \
    -- --nocapture --skip thousands_of_sentences_compile_fast
