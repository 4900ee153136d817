#!/bin/bash
# Builds the Debian packages into a folder and prints their paths: vocar-accel (accelerators), vocar-kuksa (the bridge from
# a KUKSA databroker) and, on the last line, vocar.
#   packaging/deb/build.sh [--version VERSION] [--target TRIPLE] [--profile PROFILE] [--no-build] [--fast] [FOLDER]
# FOLDER is target/debian unless given. --no-build packs the programs that are in the target folder already; --fast
# compresses less. Needs cargo-deb (`cargo install cargo-deb`) and dpkg-dev.
set -euo pipefail
folder="" version=() target=() platform=() pack=() profile=() build=yes
while [ $# -gt 0 ]; do
    case $1 in
    --version) version=(--deb-version "$2"); shift ;;
    --target)
        target=(--target "$2") platform=("$2")
        # cargo-deb would use the host's, which cannot read the programs.
        command -v "${2%%-*}-linux-gnu-strip" >/dev/null || pack+=(--no-strip)
        shift
        ;;
    --no-build) build="" ;;
    --fast) pack+=(--fast) ;;
    --profile) profile=(--profile "$2"); shift ;;
    -*) echo "build.sh: unknown option $1" >&2; exit 2 ;;
    *) folder=$(realpath -m "$1") ;;
    esac
    shift
done
cd "$(dirname "$0")/../.."
command -v cargo-deb >/dev/null || {
    echo "build.sh: cargo-deb is missing: cargo install cargo-deb" >&2
    exit 1
}
folder=${folder:-$PWD/target/debian}
generated=packaging/deb/generated
mkdir -p "$generated" "$folder"
# All of the workspace, as for the tests: what they have compiled serves, and the packages fit each other.
[ -z "$build" ] || cargo build --locked --workspace --bins "${profile[@]:---release}" "${target[@]}"
notices() { # notices CRATE — the licences of what is linked into its programs
    python3 packaging/deb/third_party.py "$1" "${platform[@]}" | gzip -9n
}
package() { # package CRATE [OPTION...] — prints the path of its package
    cargo deb --locked --no-build -p "$@" "${pack[@]}" "${profile[@]}" "${target[@]}" "${version[@]}" --output "$folder/"
}
notices vocar-accel >"$generated/third-party-accel.txt.gz"
notices vocar-daemon >"$generated/third-party.txt.gz"
package vocar-accel
package vocar-daemon --variant kuksa
package vocar-daemon
