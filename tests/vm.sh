#!/bin/bash
# A whole machine under test: Debian with systemd in an emulator, our package installed, a loopback as its sound card.
#   tests/vm.sh [x86_64|aarch64] [--only CHECK,CHECK] [--soak SECONDS] [--no-build] [--record]
# Builds the package twice (two versions, for the upgrade), makes an image (tests/vm/image.sh), boots it, lets the checks
# in tests/vm/guest run and prints what held.
#   --only CHECK,CHECK   only these checks (names: the lists ALL in tests/vm/guest)
#   --soak SECONDS       so much mixed sound into the microphone besides
#   --stream SECONDS     so much through one process on the host, at many times real time (tests/vm/stream.py)
#   --no-build           packs the programs that are built already
#   --again              packs nothing: boots the disk of the last time, which stays as it was made
#   --record             keeps the table as tests/benchmarks/vm-ARCH.json
# Exit code 0: everything held.
#
# The emulator counts instructions (-icount): the machine's clock goes with what it has computed, a thousand million
# instructions a second, and jumps over idleness. So a slow host changes no result, and silence costs nothing; only the disk of a
# busy host is late by that clock.
#
# Needs root, debootstrap, e2fsprogs, qemu-system, cargo-deb; for aarch64 see tests/aarch64.sh and qemu-user-static.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=x86_64 soak="" stream="" only="" build=(--fast) record=""
words_given=$* again=""
while [ $# -gt 0 ]; do
    case $1 in
    x86_64 | aarch64) arch=$1 ;;
    --soak) soak=$2; shift ;;
    --stream) stream=$2; shift ;;
    --only) only=$2; shift ;;
    --no-build) build+=(--no-build) ;;
    --again) again=yes ;;
    --record) record=yes ;;
    *) echo "vm.sh: unknown argument $1: read the first lines of $0" >&2; exit 2 ;;
    esac
    shift
done
[ -z "$record" ] || record=tests/benchmarks/vm-$arch.json
# The most that the machine may take on the host, seconds: boot and checks, then the soak.
limit=$((3600 + ${soak:-0} * 3))

missing=""
for program in debootstrap mke2fs qemu-system-$arch cargo-deb; do
    command -v $program >/dev/null || missing+=" $program"
done
[ "$(id -u)" = 0 ] || missing+=" root"
if [ -n "$missing" ]; then
    echo "SKIPPED: the whole machine: missing:$missing"
    exit 0
fi

room=${VOCAR_VM:-target/vm}
mkdir -p "$room"
room=$(realpath "$room")
target=()
package() { # package VERSION — path of a package with this version
    bash packaging/deb/build.sh "${build[@]}" "${target[@]}" --version "$1" "$room/deb-$arch" | tail -n 1
}
make_disk() {
    local version old new others
    if [ "$arch" != "$(uname -m)" ]; then
        . tests/cross.sh
        cross_toolchain || exit 0
        target=(--target $arch-unknown-linux-gnu --profile cross)
    fi
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    old=$(package "$version-1")
    build=(--fast --no-build)
    new=$(package "$version-2")
    # What was packed beside it.
    others=("$room/deb-$arch"/vocar-{accel,kuksa}_"${new##*/vocar_}")
    bash tests/vm/image.sh "$arch" "$room" "$old" "$new" "${others[@]}"
}
if [ -z "$again" ]; then make_disk; fi

results=$room/results-$arch.jsonl console=$room/console-$arch.log
rm -f "$results"
common=(-smp 1 -m 1024 -cpu max -icount shift=0,sleep=off -rtc clock=vm -nographic -no-reboot -nic none
    -drive "file=$room/disk-$arch.ext4,format=raw,if=virtio,cache=unsafe,snapshot=on"
    -kernel "$room/vmlinuz-$arch" -initrd "$room/initrd-$arch"
    -device virtio-serial-pci -chardev "file,id=results,path=$results"
    -device virtserialport,chardev=results,name=results)
words="root=/dev/vda rw systemd.show_status=no quiet vm.only=$only vm.soak=$soak"
case $arch in
x86_64) machine=(-machine q35 -append "console=ttyS0 $words") ;;
aarch64) machine=(-machine virt -append "console=ttyAMA0 $words") ;;
esac
begin=$SECONDS
timeout --kill-after=10 $limit nice -n 15 qemu-system-$arch "${machine[@]}" "${common[@]}" </dev/null >"$console" 2>&1 &
emulator=$!
trap 'kill $emulator 2>/dev/null || true' EXIT
tail --pid=$emulator -n +1 -F "$results" 2>/dev/null | python3 tests/vm/report.py --follow &
wait $emulator || true
took=$((SECONDS - begin))
trap - EXIT
wait
if [ -n "$stream" ] && [ "$arch" = "$(uname -m)" ]; then
    echo "vm.sh: $stream s of recordings through one process on the host"
    nice -n 10 python3 tests/vm/stream.py "${CARGO_TARGET_DIR:-target}/release/vocar" "$room/recordings" "$stream" |
        tee -a "$results" | python3 tests/vm/report.py --follow
fi
python3 tests/vm/report.py "$results" --arch "$arch" --host-seconds $took --command "tests/vm.sh $words_given" ${record:+--record "$record"} || {
    echo "vm.sh: not everything held; the console is in $console" >&2
    exit 1
}
