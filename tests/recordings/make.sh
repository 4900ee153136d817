#!/bin/sh
# Speaks the recordings of this folder again: flite, espeak-ng and festival (festvox-kdlpc16k), sox, opus-tools.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# speak FILE ENGINE VOICE WORDS — FILE's ending chooses the format; the rate is the voice's own (Opus: 48 kHz).
speak() {
    raw=$work/spoken.wav
    case $2 in
        flite) flite -voice "$3" -t "$4" -o "$raw" ;;
        espeak) espeak-ng -v "$3" -s 150 -w "$raw" "$4" ;;
        festival)
            printf '(voice_%s)\n(utt.save.wave (utt.synth (Utterance Text "%s")) "%s" (quote riff))\n' "$3" "$4" "$raw" \
                | festival --pipe ;;
    esac
    case $1 in
        *.opus) opusenc --quiet --speech --bitrate 24 "$raw" "$1" ;;
        *.flac) sox -D "$raw" -C 8 "$1" pad 0.2 0.3 ;;
        *) sox -D "$raw" "$1" ;;
    esac
}

speak set-temperature.wav flite rms "set the temperature to twenty one degrees"
speak open-window.wav flite slt "open the driver window"
speak no-command.wav flite rms "it was the best of times it was the worst of times"
speak ac-on.flac espeak en-gb "turn on the air conditioning"
speak fan-level.opus flite awb "set the fan to level three"
speak seat-heating.flac espeak en-us+f3 "turn on the seat heating for the passenger"
speak next-song.wav flite kal "skip to the next song"
speak ambient-light.opus festival ked_diphone "set the ambient light to blue"
speak volume.opus flite rms "set the volume to forty percent"
speak station.flac espeak en-gb-scotland+m3 "play classic f m"
speak call.opus festival kal_diphone "call sarah johnson"
speak dial.opus flite slt "dial the number five six two nine"
speak go-home.opus flite rms "drive me home please"
speak nearest.flac espeak en-us+m7 "find the nearest charging station"
speak range.opus festival ked_diphone "what is the remaining range"
speak cruise.opus flite awb "set the cruise control to one hundred ten kilometers per hour"
speak alarm.opus flite kal16 "set an alarm for seven thirty a m"
speak lock-doors.opus festival cmu_us_slt_arctic_hts "lock all the doors"
speak everyday.opus flite slt "three point five degrees warmer in the cabin"
speak talk-weekend.opus flite slt "we went to see my grandmother last weekend and the children loved it"
speak talk-news.opus festival ked_diphone "the minister said that nothing would change before the end of the year"
speak talk-dinner.flac espeak en-us+f2 "do you remember what she cooked for dinner yesterday evening"
