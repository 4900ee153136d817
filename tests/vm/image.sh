#!/bin/bash
# Makes the disk of the whole machine: Debian with systemd, our package, users, recordings and the checks.
#   tests/vm/image.sh ARCH ROOM OLD.deb NEW.deb [OTHER.deb...]
# ARCH: x86_64 or aarch64. ROOM keeps the plain Debian (base-ARCH) for the next time and receives disk.ext4, vmlinuz and
# initrd. OLD is installed, NEW and the OTHERs lie on the disk for the upgrade and after it. Needs root, debootstrap,
# e2fsprogs and, for aarch64 on another processor, qemu-user-static with binfmt_misc.
set -euo pipefail
arch=$1 room=$2 old=$3 new=$4
others=("${@:5}")
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
suite=bookworm
mirror=${VOCAR_DEBIAN_MIRROR:-http://deb.debian.org/debian}
case $arch in
x86_64) debian=amd64 kernel=linux-image-amd64 ;;
aarch64) debian=arm64 kernel=linux-image-arm64 ;;
*) echo "image.sh: $arch is neither x86_64 nor aarch64" >&2; exit 2 ;;
esac
packages=systemd,systemd-sysv,libpam-systemd,dbus,dbus-broker,alsa-utils,kmod,initramfs-tools,$kernel
packages+=,python3,python3-dbus-next,libspeexdsp1,procps,flac,opus-tools
base=$room/base-$arch root=$room/root-$arch

if [ ! -e "$base/.whole" ]; then
    rm -rf "$base"
    nice -n 15 debootstrap --foreign --arch=$debian --variant=minbase --include=$packages $suite "$base" "$mirror"
    # A small initial file system: collecting every module takes an emulated processor most of an hour.
    mkdir -p "$base/etc/initramfs-tools/conf.d" "$base/usr/share/initramfs-tools/modules.d"
    printf 'MODULES=list\nCOMPRESS=gzip\n' >"$base/etc/initramfs-tools/conf.d/vm"
    printf '%s\n' virtio_pci virtio_blk ext4 crc32c_generic >"$base/usr/share/initramfs-tools/modules.d/vm"
    nice -n 15 chroot "$base" /debootstrap/debootstrap --second-stage
    rm -rf "$base"/var/cache/apt/archives/*.deb "$base"/var/lib/apt/lists/* "$base"/usr/share/locale
    touch "$base/.whole"
fi

rm -rf "$root"
cp -a --reflink=auto "$base" "$root"
inside() { chroot "$root" /usr/bin/env LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }

# The package as an integrator installs it; nothing is fetched.
install -D -m 644 "$old" "$root/opt/vm/old.deb"
install -D -m 644 "$new" "$root/opt/vm/new.deb"
[ ${#others[@]} = 0 ] || install -m 644 -t "$root/opt/vm" "${others[@]}"
inside apt-get -q -y install /opt/vm/old.deb

# The infotainment system, an app that may read what was said, and somebody else.
inside useradd --system --groups vocar cockpit
inside useradd --system --groups vocar,vocar-transcripts scribe
inside useradd --system stranger

# Recordings as sound that aplay plays.
mkdir -p "$root/opt/vm/recordings"
cp "$repository"/tests/recordings/manifest.tsv "$repository"/tests/recordings/*.{wav,flac,opus} "$root/opt/vm/recordings/"
inside sh -c 'cd /opt/vm/recordings
    for file in *.flac; do flac -s -d "$file"; done
    for file in *.opus; do opusdec --quiet "$file" "${file%.opus}.wav"; done
    rm -f *.flac *.opus'
rm -rf "$room/recordings"
cp -r "$root/opt/vm/recordings" "$room/"

# Subscribers: the examples, as an integrator would build them; the C one against the machine's own library.
cp "$repository/examples/agl/subscriber.py" "$root/opt/vm/"
compiler=cc
[ "$arch" = "$(uname -m)" ] || compiler=${CC_aarch64_unknown_linux_gnu:-$arch-linux-gnu-gcc}
mkdir -p "$room/include"
if cp -r /usr/include/systemd "$room/include/" 2>"$room/cc.log" &&
    "$compiler" -O2 -I "$room/include" -o "$root/opt/vm/subscriber" "$repository/examples/sd-bus/subscriber.c" \
        "$root/usr/lib/$arch-linux-gnu/libsystemd.so.0" -Wl,--allow-shlib-undefined 2>"$room/cc.log"; then
    echo "image.sh: the C subscriber is built"
else
    echo "image.sh: SKIPPED: the C subscriber: libsystemd-dev or $compiler is missing (see $room/cc.log)"
fi

# The sound card, its microphone, and settings that do not depend on how fast an emulated processor is.
echo snd-aloop >"$root/etc/modules-load.d/snd-aloop.conf"
echo 'options snd-aloop pcm_substreams=1' >"$root/etc/modprobe.d/snd-aloop.conf"
cat >"$root/etc/asound.conf" <<'ALSA'
pcm.!default {
    type plug
    slave.pcm "hw:Loopback,1,0"
}
ALSA
mkdir -p "$root/etc/vocar/conf.d"
cat >"$root/etc/vocar/conf.d/10-vm.toml" <<'TOML'
[hardware]
power_level = "performance"
TOML

# The checks, begun by the service manager; what is found goes through a port to the host.
cp "$here"/guest/*.py "$root/opt/vm/"
cat >"$root/etc/systemd/system/vm-checks.service" <<'UNIT'
[Unit]
Description=Checks of the whole machine
After=multi-user.target sound.target
SuccessAction=poweroff
FailureAction=poweroff

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -B /opt/vm/main.py
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=infinity

[Install]
WantedBy=graphical.target
UNIT
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/vm.conf"
inside systemctl enable --quiet vm-checks.service
inside systemctl set-default --quiet graphical.target
inside systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer dpkg-db-backup.timer fstrim.timer
echo vehicle >"$root/etc/hostname"

cp "$root"/boot/vmlinuz-* "$room/vmlinuz-$arch"
cp "$root"/boot/initrd.img-* "$room/initrd-$arch"
rm -rf "$root"/boot/* "$root"/usr/share/doc/[a-uw-z]*
rm -f "$room/disk-$arch.ext4"
nice -n 15 mke2fs -q -t ext4 -L vehicle -m 0 -d "$root" "$room/disk-$arch.ext4" 1800M
rm -rf "$root"
echo "image.sh: $room/disk-$arch.ext4"
