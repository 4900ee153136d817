# The toolchain for aarch64 on another processor; to be sourced from the repository's root. `cross_toolchain` sets the
# environment for cargo, or says what is missing and fails.
#
# The cross toolchain is, whichever is there first,
#   * that of the system: `rustup target add aarch64-unknown-linux-gnu`, and from a Debian with the arm64 architecture
#     added gcc-aarch64-linux-gnu, qemu-user-static and libasound2-dev:arm64;
#   * one made by tools/setup-aarch64.sh in the shared folder beside the checkout ($VOCAR_SHARED), kept in target/.
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

cross_toolchain() {
    local problems
    problems=$(lacking)
    if [ -z "$problems" ]; then
        echo "aarch64: with the system's toolchain, on an emulated $A64_CPU"
        use_the_systems
    elif [ -f "$setup" ]; then
        echo "aarch64: with the toolchain of $setup, on an emulated $A64_CPU"
        bash "$setup" target/aarch64-toolchain || return
        . target/aarch64-toolchain/env.sh
    else
        echo "SKIPPED: the build for aarch64 and its tests under emulation: $setup is not there and the system lacks"
        echo "$problems" | sed 's/^/  /'
        return 1
    fi
    # Another compiler than the host's: its work is kept apart.
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/aarch64
}
