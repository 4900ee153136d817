#!/bin/bash
# Builds the Debian package into a folder and prints its path.
#   packaging/deb/build.sh [--version VERSION] [--target TRIPLE] [--profile PROFILE] [--no-build] [--fast] [FOLDER]
# FOLDER is target/debian unless given. --no-build packs the programs that are in the target folder already; --fast
# compresses less. Needs cargo-deb (`cargo install cargo-deb`) and dpkg-dev.
set -euo pipefail
folder="" version=() target=() platform=() build=() profile=()
while [ $# -gt 0 ]; do
    case $1 in
    --version) version=(--deb-version "$2"); shift ;;
    --target)
        target=(--target "$2") platform=("$2")
        # cargo-deb would use the host's, which cannot read the programs.
        command -v "${2%%-*}-linux-gnu-strip" >/dev/null || build+=(--no-strip)
        shift
        ;;
    --no-build) build+=(--no-build) ;;
    --fast) build+=(--fast) ;;
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
mkdir -p packaging/deb/generated "$folder"
python3 packaging/deb/third_party.py "${platform[@]}" | gzip -9n >packaging/deb/generated/third-party.txt.gz
cargo deb --locked -p vocar-daemon "${build[@]}" "${profile[@]}" "${target[@]}" "${version[@]}" --output "$folder/"
