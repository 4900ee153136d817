#!/bin/sh
# Installs what building and testing need on Debian and Ubuntu, and nothing that is already there.
#   tests/setup.sh            everything
#   tests/setup.sh --check    only says what is missing; exit code 1 if something is
set -eu

missing=""
need() { # need PACKAGE COMMAND... — the command succeeds where the package is not needed
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
has() { command -v "$1"; }
pulse_plugin() { ls /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so /usr/lib/alsa-lib/libasound_module_pcm_pulse.so 2>/dev/null | grep .; }
speexdsp() { ls /usr/lib/*/libspeexdsp.so.1 /usr/lib/libspeexdsp.so.1 2>/dev/null | grep .; }
alsa_headers() { has pkg-config && pkg-config --exists alsa; }
libsystemd() { has pkg-config && pkg-config --exists libsystemd; }
dbus_next() { /usr/bin/python3 -c 'import dbus_next'; }
virtual_environments() { has python3 && python3 -c 'import ensurepip, venv'; }

need gcc has cc                              # links the programs, compiles small C parts of dependencies
need libc6-dev test -e /usr/include/stdlib.h
need pkg-config has pkg-config
need libasound2-dev alsa_headers             # capture: ALSA's headers
need dbus has dbus-daemon                    # a private bus for the demonstration and the tests
need pulseaudio has pulseaudio               # a virtual microphone for them
need pulseaudio-utils has paplay
need libasound2-plugins pulse_plugin
need libspeexdsp1 speexdsp                   # takes what the car plays out of what its microphones hear
need systemd has systemd-analyze             # checks the units; busctl
need make has make                           # builds the example subscriber in C
need libsystemd-dev libsystemd               # which speaks through sd-bus
need minisign has minisign                   # signs models, as an integrator does
need python3-dbus-next dbus_next             # the example subscriber in Python
need libglib2.0-bin has gdbus                # a stranger who listens to the bus
need python3-venv virtual_environments       # ruff, which checks the Python code

if ! command -v cargo >/dev/null; then
    echo "setup: Rust is missing: install it from https://rustup.rs, then start again" >&2
    exit 1
fi
if [ -z "$missing" ]; then
    echo "setup: nothing is missing"
    exit 0
fi
echo "setup: missing:$missing"
[ "${1:-}" != --check ] || exit 1
if ! command -v apt-get >/dev/null; then
    echo "setup: this is no Debian: install the like of these packages yourself" >&2
    exit 1
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
echo "setup: $as_root apt-get install$missing"
$as_root apt-get -q update
# shellcheck disable=SC2086 # one word a package
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing
