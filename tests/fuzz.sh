#!/bin/sh
# Fuzzes what reads files and text from outside: tests/fuzz.sh [MINUTES for each target, 2] [TARGET…]
#
# Needs cargo-fuzz (`cargo install cargo-fuzz`), which builds everything anew with counters of what was reached. Seeds are the
# repository's own files. Prints for each target how long it ran, how many inputs, and what was found; 1 when something was.
set -eu
cd "$(dirname "$0")/../fuzz"
minutes=${1:-2}
[ $# -gt 0 ] && shift
targets=${*:-domain_file adapter_file text bundle audio_file bus_options configuration accel_message signature}
command -v cargo-fuzz >/dev/null || {
    echo "cargo-fuzz is not there: cargo install cargo-fuzz" >&2
    exit 2
}
# The counters are switched on by options that a stable compiler takes only when told so.
export RUSTC_BOOTSTRAP=1

seeds() {
    seed=corpus/$1
    mkdir -p "$seed"
    case $1 in
    domain_file) for file in ../nlu/domains/*/*.toml; do cp "$file" "$seed/$(echo "$file" | tr / _)"; done ;;
    adapter_file) for file in ../models/nlu-en/head-*.safetensors; do { printf '\010\020' && cat "$file"; } >"$seed/$(basename "$file")"; done ;;
    text) cut -f 1 ../tests/benchmarks/car-everyday.tsv | split -l 1 -a 3 - "$seed/" ;;
    bundle) for file in ../models/*/manifest.toml; do cp "$file" "$seed/$(echo "$file" | tr / _)"; done ;;
    audio_file) for file in ../tests/recordings/*.wav ../tests/recordings/*.flac ../tests/recordings/*.opus; do
        case $file in *.wav) kind='\000' ;; *.flac) kind='\001' ;; *) kind='\002' ;; esac
        { printf "$kind" && head -c 20000 "$file"; } >"$seed/$(basename "$file")"
    done ;;
    bus_options)
        printf '\001\025\0\0\0\0\0\0\0\004\0\0\0mode\0\001s\0\004\0\0\0wake\0' >"$seed/mode"
        printf '\001\030\0\0\0\0\0\0\0\007\0\0\0timeout\0\001d\0\0\0\0\0\0\0\0\004\100' >"$seed/timeout"
        printf '\001\032\0\0\0\0\0\0\0\007\0\0\0adapter\0\002as\0\006\0\0\0\001\0\0\0a\0' >"$seed/adapter"
        printf '\001\066\0\0\0\0\0\0\0\055\0\0\0Vehicle.Cabin.Infotainment.PowerOptimizeLevel\0\001y\0\003' >"$seed/vehicle"
        ;;
    configuration) cp ../systemd/vocar.toml "$seed/" ;;
    accel_message)
        printf '\006\0\0\0"Step"' >"$seed/request"
        printf '\007\0\0\0"Alive"\025\0\0\0{"Loaded":{"by":"x"}}' >"$seed/reply"
        ;;
    signature)
        {
            printf 'format = 1\nname = "speech-en"\n\0untrusted comment: signature from minisign secret key\n'
            echo RUQFA1AAp4uEtRnmfWpjj+d5uVAkqX0x2klfQq4AUeZeG/AWcIlJ59GQ/q/X3Fz8JV+2gHFhHVdFiR5TUJiljRWMTrq6sn/9JA0=
            echo 'trusted comment: speech-en 0.1.0'
            echo 637xOxC2T+8UvoCje9OZdNZhW1B/XpPRss6PMF00d0awAkHbZksrlqpype4exSi38+kXdZeHg37TEHEAptjlDQ==
        } >"$seed/signed"
        ;;
    esac
}

found=0
printf '%-14s %8s %12s %s\n' target seconds inputs finding
for target in $targets; do
    seeds "$target"
    log=$(mktemp)
    finding=none
    cargo fuzz run --sanitizer none "$target" -- -max_total_time=$((minutes * 60)) -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 >"$log" 2>&1 || { finding="see $log" && found=1; }
    inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    seconds=$(sed -n 's/.*Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log")
    printf '%-14s %8s %12s %s\n' "$target" "${seconds:--}" "${inputs:--}" "$finding"
    [ "$finding" = none ] && rm "$log"
done
exit $found
