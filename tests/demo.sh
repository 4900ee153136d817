#!/bin/bash
# From a fresh checkout to intents on a bus: installs what is missing, builds, starts a private message bus with the
# daemon on it, plays the bundled recordings into the daemon's microphone and prints what another process on the bus
# receives. Exit code 0: exactly the intents of tests/recordings/manifest.tsv arrived, in their order.
set -euo pipefail
cd "$(dirname "$0")/.."
sh tests/setup.sh
cargo build --release --locked -p vocar-daemon --bins
programs=${CARGO_TARGET_DIR:-target}/release

room=$(mktemp -d)
children=()
leave() {
    local pid
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${children[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$room"
}
trap leave EXIT
give_up() { # give_up WHAT LOG
    echo "demo: $1; the log says:" >&2
    tail -n 20 "$room/$2" >&2
    exit 1
}
await() { # await SECONDS COMMAND... — until the command succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# A message bus of our own.
dbus-daemon --session --nofork --nopidfile --address="unix:path=$room/bus" >"$room/bus.log" 2>&1 &
children+=($!)
await 5 test -S "$room/bus" || give_up "the private bus does not start" bus.log
export VOCAR_BUS__ADDRESS=unix:path=$room/bus

# A sound server of our own: what is played into `cabin` is what the default microphone hears.
export PULSE_SERVER=unix:$room/sound XDG_RUNTIME_DIR=$room ALSA_CONFIG_PATH=$room/asound.conf
cat >"$room/asound.conf" <<ALSA
</usr/share/alsa/alsa.conf>
pcm.!default {
    type pulse
    server "$PULSE_SERVER"
    device "cabin.monitor"
    hint { show on description "Cabin microphone" }
}
ALSA
env -u PULSE_SERVER HOME="$room" pulseaudio -n --daemonize=no --exit-idle-time=-1 --disable-shm=yes --use-pid-file=no \
    --realtime=no --high-priority=no -L "module-null-sink sink_name=cabin rate=48000 channels=2 norewinds=1" \
    -L "module-native-protocol-unix auth-anonymous=1 socket=$room/sound" >"$room/sound.log" 2>&1 &
children+=($!)
await 20 pactl info || give_up "the private sound server does not start" sound.log

# How busy this machine is with other things plays no part here: the power level is fixed.
cat >"$room/vocar.toml" <<TOML
[model]
dir = "$PWD/models/speech-en"
[hardware]
power_level = "performance"
TOML
"$programs/vocard" --config "$room/vocar.toml" >"$room/vocard.log" 2>&1 &
children+=($!)
await 20 "$programs/vocar" status || give_up "vocard does not start" vocard.log

bus() { # bus call|get-property MEMBER ARGUMENT...
    local verb=$1
    shift
    busctl --address="$VOCAR_BUS__ADDRESS" "$verb" org.vocar.VoiceAssistant1 /org/vocar/VoiceAssistant1 \
        org.vocar.VoiceAssistant1 "$@"
}
call() { # call METHOD SIGNATURE ARGUMENT...
    bus call "$@" >"$room/call.log" 2>&1 || give_up "vocard refuses $1" call.log
}
idle() {
    bus get-property State | grep -q '"idle"'
}
# Whom one can call and which stations there are: what an infotainment system tells the daemon.
call SetEntities 'sa(sas)' contact 2 c1 1 "Anna Miller" c5 1 "Sarah Johnson"
call SetEntities 'sa(sas)' station 2 s2 1 "Classic FM" s8 1 "Planet Rock"

# The subscriber: a process of its own.
"$programs/vocar" monitor --json --no-transcripts >"$room/received" 2>"$room/monitor.log" &
children+=($!)
await 10 grep -q Connected "$room/received" || give_up "the subscriber does not connect" monitor.log

heard() { # heard SIGNAL — how often the subscriber received it
    grep -c "\"signal\":\"$1\"" "$room/received" || true
}
more_than() { # more_than COUNT SIGNAL
    [ "$(heard "$2")" -gt "$1" ]
}
show() { # signals as JSON lines to text for people
    sed -nE -e 's/.*"latency_ms":([0-9]+).*"name":"([^"]+)".*"signal":"IntentRecognized","slots":(.*),"zone".*/  \2 \3  (\1 ms after the last word)/p' \
        -e 's/.*"reason":"([^"]+)".*"signal":"Rejected".*/  no intent: \1/p'
}
play() { # play FILE TEXT INTENT
    local signal=IntentRecognized so_far before
    [ -n "$3" ] || signal=Rejected
    so_far=$(heard $signal)
    before=$(wc -l <"$room/received")
    printf '%s: "%s"\n' "$1" "$2"
    await 8 idle || give_up "vocard still listens" vocard.log
    call StartListening 'a{sv}' 1 mode s push-to-talk
    sleep 1 # the microphone opens, and people wait a moment, too
    paplay --device=cabin "tests/recordings/$1"
    await 8 more_than "$so_far" $signal || echo "  nothing came"
    tail -n +$((before + 1)) "$room/received" | show
}
echo "demo: playing $(($(wc -l <tests/recordings/manifest.tsv) - 1)) recordings after a press of the talk button; below each, what the subscriber receives"
while IFS=$'\t' read -r path text intent _; do
    play "$path" "$text" "$intent"
done < <(tail -n +2 tests/recordings/manifest.tsv)

tail -n +2 tests/recordings/manifest.tsv | cut -f 3,4 | grep -v '^\s*$' >"$room/spoken"
sed -nE 's/.*"name":"([^"]+)".*"signal":"IntentRecognized","slots":(.*),"zone".*/\1\t\2/p' "$room/received" >"$room/arrived"
echo
if diff "$room/spoken" "$room/arrived"; then
    echo "demo: all $(wc -l <"$room/spoken") commands arrived as intents with their slots, and nothing else did"
else
    echo "demo: the intents that arrived (>) are not those that were spoken (<)" >&2
    exit 1
fi
