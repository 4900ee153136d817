"""What the benchmarks rest on: the ratio of speech to noise is the one asked for, the same seed gives the same bytes."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import errors  # noqa: E402
import groups  # noqa: E402
import noises  # noqa: E402
import plots  # noqa: E402
import run  # noqa: E402
import words  # noqa: E402

SECOND = noises.RATE


def spoken(rng, seconds=3.0):
    """Bursts of sound between pauses, as speech is to a power meter."""
    time = np.arange(int(seconds * SECOND)) / SECOND
    return np.where(time % 1 < 0.6, 0.1, 1e-4) * rng.standard_normal(len(time))


def decibels(ratio):
    return 10 * np.log10(ratio)


def share_above(samples, frequency):
    power = abs(np.fft.rfft(samples)) ** 2
    return power[np.fft.rfftfreq(len(samples), 1 / SECOND) > frequency].sum() / power.sum()


def test_pauses_are_no_speech():
    speech = spoken(np.random.default_rng(1))
    mask = noises.active(speech)
    assert abs(mask.mean() - 0.6) < 0.02
    assert abs(decibels(noises.speech_power(speech)) + 20) < 0.3


@pytest.mark.parametrize("snr", [20, 10, 6])
@pytest.mark.parametrize("kind", [noises.road, noises.fan])
def test_the_ratio_is_the_one_asked_for(kind, snr):
    rng = np.random.default_rng(2)
    speech, lead, tail = spoken(rng), 8000, 16000
    mixed = noises.mix(speech, kind(lead + len(speech) + tail, rng), snr, lead, tail)
    noise = mixed - np.pad(speech, (lead, tail))
    mask = noises.active(speech)
    under = noise[lead:-tail][mask]
    assert abs(decibels((speech[mask] ** 2).mean() / (under**2).mean()) - snr) < 1e-6
    assert (noise[:lead] ** 2).mean() > 0 and (noise[-tail:] ** 2).mean() > 0, "noise before and after the speech"


def test_the_road_is_heard_above_300_hz():
    rng = np.random.default_rng(3)
    assert share_above(noises.rumble(20 * SECOND, rng), 300) < 0.1
    assert 0.2 < share_above(noises.road(20 * SECOND, rng), 300) < 0.5


def test_the_cabin_keeps_times_and_level():
    for place in noises.PLACES:
        response = noises.cabin_response(place)
        assert abs(response).argmax() < 5, "the direct sound comes first"
        assert abs((response**2).sum() - 1) < 1e-9
    click = np.zeros(SECOND)
    click[4000] = 1.0
    assert abs(int(abs(noises.heard_from("driver", click)).argmax()) - 4000) < 5


def collection(folder):
    """A speech collection of six speakers with one sentence each, and recorded noises."""
    rng = np.random.default_rng(4)
    (folder / "eval").mkdir(parents=True)
    lines, rows = ["id\tcorpus\tsplit\tspeaker\tseconds\tlicence\ttext"], ["path\ttext"]
    for number in range(7):
        path = folder / f"eval/commonvoice-dev/r{number}.opus"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, spoken(rng), SECOND, format="OGG", subtype="OPUS")
        lines.append(f"r{number}\tcommonvoice\tdev\tcv{min(number, 5)}\t3\tCC0\tfan on")
        rows.append(f"{path.resolve()}\tfan on")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "eval/closed-set-dev.tsv").write_text("\n".join(rows[:3]) + "\n", encoding="utf-8")
    with tarfile.open(folder / "noise.tar", "w") as tar:
        for name in ("noise-doing_the_dishes", "noise-dude_miaowing", "noise-exercise_bike", "noise-running_tap"):
            path = folder / f"{name}.opus"
            soundfile.write(path, 0.1 * rng.standard_normal(2 * SECOND), SECOND, format="OGG", subtype="OPUS")
            tar.add(path, path.name)


def mixed(folder, out, seed):
    """Bytes of every recording that the command makes."""
    command = [
        sys.executable,
        HERE / "noisy.py",
        folder,
        folder / "eval",
        out,
        "--set",
        "closed-set-dev",
        "--seed",
        str(seed),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*.wav"))}


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    collection(tmp_path)
    first, again, other = (mixed(tmp_path, tmp_path / f"out{n}", seed) for n, seed in enumerate((1, 1, 2)))
    assert len(first) == 2 * 9
    assert first == again
    assert all(first[name] != other[name] for name in first)
    header, row, *_ = (tmp_path / "out0/closed-set-dev-cabin-6db.tsv").read_text(encoding="utf-8").splitlines()
    assert header == "path\ttext" and row.endswith("commonvoice-dev--r0.wav\tfan on")


def test_nobody_babbles_over_himself(tmp_path):
    import noisy

    collection(tmp_path)
    rows, speakers = noisy.rows_and_speakers(tmp_path, tmp_path / "eval", "closed-set-dev")
    for seed in range(10):
        talkers = speakers.others(rows[0][0], np.random.default_rng(seed), SECOND)
        own = noisy.read(rows[0][0])
        assert len(talkers) == noisy.TALKERS
        assert not any(len(part) == len(own) and np.array_equal(part, own) for parts in talkers for part in parts)


def decision(text, confidence, refused=None):
    return {"text": text, "confidence": confidence, "refused": refused, "rivals": [], "at_s": 1, "length_s": 1}


def outcome(said, right, *decisions, corpus="librispeech-test", name="a"):
    heard = [one["text"] for one in decisions if one["refused"] is None]
    return {
        "path": f"x/{corpus}/{name}.opus",
        "text": said,
        "right": right,
        "heard": heard,
        "decisions": list(decisions),
    }


def test_errors_are_told_apart():
    assert errors.verdict(outcome("fan on", True, decision("fan on", 0.9))) == "right"
    assert errors.verdict(outcome("fan on", False, decision("fan off", 0.9))) == "wrong"
    refused = outcome("fan on", False, decision("fan on", 0.1, "low_confidence"))
    assert errors.verdict(refused) == "low_confidence"
    assert errors.difference("turn the fan on", "turn a fan off now") == ["the>a", "on>off now"]
    mixed_name = {"path": "noisy/closed-set-road-6db/voxforge-eval--ann-2007--a1.wav"}
    assert errors.origin(mixed_name) == ("voxforge-eval", "ann-2007--a1")
    assert errors.origin({"path": "eval/voxforge-eval/ann-2007--a1.opus"}) == ("voxforge-eval", "ann-2007--a1")


def test_thresholds_trade_right_answers_for_wrong_ones():
    rows = [
        outcome("a b", True, decision("a b", 0.9)),
        outcome("c d", False, decision("c d", 0.3, "low_confidence")),
        outcome("e f", False, decision("x y", 0.6)),
        outcome("g h", False, decision("g h", 0.9, "within_talk")),
    ]
    right, wrong = plots.trade(rows, [0.0, 0.5, 0.8])
    assert right.tolist() == [0.5, 0.25, 0.25]
    assert wrong.tolist() == [0.25, 0.25, 0.0]
    assert sorted(map(tuple, plots.judged(rows).tolist())) == [(0.3, 1.0), (0.6, 0.0), (0.9, 1.0)]


def test_pitch_and_groups():
    time = np.arange(2 * SECOND) / SECOND
    for height in (95, 140, 210, 290):
        voice = sum(np.sin(2 * np.pi * k * height * time) / k for k in range(1, 12))
        assert abs(np.median(groups.pitch(voice)) - height) < 0.03 * height
    assert groups.known("speechocean762", {"sex": "m", "age": "8"})[:3] == ["not native", "child", "male"]
    assert groups.known("voxforge", None) == []
    low, high = groups.interval(95, 100)
    assert low < 0.95 < high and 0.88 < low < 0.9


def test_every_speaker_in_the_table_is_well_formed():
    rows = groups.table(HERE / "speakers.tsv")
    assert len({row["speaker"] for row in rows}) == len(rows)
    for row in rows:
        assert row["sex"] in ("f", "m") and (not row["age"] or 4 < int(row["age"]) < 90), row


def test_rows_find_their_figures(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"command": "x", "result": {"b": {"c": 0.5}}}), encoding="utf-8")
    assert run.value(path, "b.c") == 0.5
    path.write_text(json.dumps({"b.c": 2}), encoding="utf-8")
    assert run.value(path, "b.c") == 2
    assert run.value(path, "b.d") is None and run.value(tmp_path / "none.json", "b") is None
    made = {*run.RUNS, "closed-set-noise", "groups", "vad-roc", "wake-det", "words", "echo", "zones"}
    assert all(name in made for _, name, *_ in run.ROWS)


def test_word_errors_come_out_of_the_table():
    lines = [
        "tuned on x",
        "| recordings | utterances |",
        "| open-librispeech-test | 256 | 6690 | 15.8 % | 11.7 % |",
        "",
    ]
    assert words.rates([*lines, "| other | 1 | 2 | 3.0 % |"]) == {"librispeech-test": 0.158}


def test_smaller_networks_are_drawn_where_they_were_measured(tmp_path):
    def drawn(rows):
        (tmp_path / "compression.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
        figure = plots.pyplot.figure()
        plots.compression(None, tmp_path, figure)
        size, step, rated = figure.axes
        widths = [[bar.get_width() for bar in axes.patches] for axes in (size, step)]
        points = rated.lines[0].get_xdata().tolist()
        plots.pyplot.close(figure)
        return rated.get_xlabel(), *widths, points

    row = {"name": "f32", "bytes": 8_000_000, "median_ms": 2.0, "divergence": 0.0, "recognition": None}
    small = row | {"name": "int8", "bytes": 2_000_000, "divergence": 0.01}
    label, sizes, steps, points = drawn([row, small])
    assert label.startswith("divergence") and points == [0.0, 0.01]
    assert sizes == [8.0, 2.0] and steps == [2.0, 2.0]
    label, _, _, points = drawn([row | {"recognition": {"accepted_right": 0.97}}])
    assert label.startswith("sentences") and points == [pytest.approx(97.0)]
    with pytest.raises(plots.Missing):
        drawn([])
