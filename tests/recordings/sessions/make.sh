#!/bin/sh
# Speaks the recordings of this folder again: flite, sox, opus-tools.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# speak FILE VOICE WORDS — FILE's ending chooses the format.
speak() {
    flite -voice "$2" -t "$3" -o "$work/spoken.wav"
    case $1 in
        *.opus) opusenc --quiet --speech --bitrate 24 "$work/spoken.wav" "$1" ;;
        *) sox -D "$work/spoken.wav" -C 8 "$1" ;;
    esac
}

speak wake.opus slt "hey vocar"
speak wake-radio.opus slt "hey vocar, turn on the radio"
speak ask-temperature.opus rms "set the temperature"
speak answer-temperature.opus rms "twenty one degrees"
speak no-rear.flac slt "no, the rear one"
speak same-passenger.flac rms "the same for the passenger"
speak louder.flac slt "turn up the radio"
speak more.flac slt "a bit more"
speak two-commands.flac rms "open the sunroof and turn up the radio"
speak two-windows.flac slt "open the driver window and the passenger window"
speak open-trunk.flac rms "open the trunk"
speak yes.flac rms "yes please"
speak stop.flac rms "stop it"
