#!/bin/sh
# Speaks the recordings of this folder again: flite, opus-tools.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# speak NAME VOICE WORDS
speak() {
    flite -voice "$2" -t "$3" -o "$work/spoken.wav"
    opusenc --quiet --speech --bitrate 24 "$work/spoken.wav" "$1.opus"
}

speak wake slt "hey vocar"
speak wake-radio slt "hey vocar, turn on the radio"
speak ask-temperature rms "set the temperature"
speak answer-temperature rms "twenty one degrees"
