"""The parts of the recipe agree with each other and learn: `python -m pytest training/tests`, half a minute."""

from __future__ import annotations

import importlib.util
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training import augment, cabin, cmudict_text, forced, losses, noise, scoring, spans, viterbi
from training.average import average
from training.bundle import BUNDLE, FILES, VEHICLE, hashes, read_phone_lm, rehash, write_phone_lm
from training.dataset import CENTRE, STRIDE, Item, Pack, assemble, first_frames, gather, repeated
from training.evaluate import first_of_each, heard, of_checkpoint
from training.export import TOLERANCE, Stream, check
from training.g2p import EXTRA, Model
from training.model import SUBSAMPLING, AcousticModel, Config, with_chunk
from training.onnx_graph import streaming
from training.restore import restore
from training.tests.networks import random_model
from training.tests.packs import write_pack
from training.train import Trainer, arguments, keep_norms
from training.units import SIL, Lexicon, read_phones

SMALL = Config(columns=12, dim=32, layers=2, heads=2, channels=4, context=16)


def random_columns(rows: int, frames: int, units: int, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(rows, frames, 2 * units).log_softmax(-1)


def bigram(units: int, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(units, units).log_softmax(-1)


# --- export ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_prior", [False, True])
def test_streaming_onnx_is_the_trained_model(with_prior: bool) -> None:
    model = random_model(SMALL, 1)
    prior = torch.randn(SMALL.columns).log_softmax(-1) if with_prior else None
    graph = streaming(model, prior)
    assert check(model, prior, graph.SerializeToString()) < TOLERANCE


def test_a_lost_cache_would_be_noticed() -> None:
    model = random_model(SMALL, 2)
    stream = Stream(streaming(model, None).SerializeToString())
    log_mel = np.random.default_rng(2).standard_normal((6 * stream.frames, SMALL.mels)).astype(np.float32)
    together = stream.run(log_mel)
    apart = np.concatenate(
        [stream.run(log_mel[at : at + stream.frames]) for at in range(0, len(log_mel), stream.frames)]
    )
    assert np.abs(together[: SMALL.chunk] - apart[: SMALL.chunk]).max() < 1e-6
    assert np.abs(together[SMALL.chunk :] - apart[SMALL.chunk :]).max() > 100 * TOLERANCE


def test_no_output_sees_beyond_its_chunk() -> None:
    model = random_model(SMALL, 3)
    features = torch.randn(1, 8 * SMALL.chunk * SUBSAMPLING, SMALL.mels)
    other = features.clone()
    cut = 5 * SMALL.chunk * SUBSAMPLING
    other[:, cut:] = torch.randn_like(other[:, cut:])
    with torch.no_grad():
        one, two = model(features)[0], model(other)[0]
    frames = cut // SUBSAMPLING
    assert torch.allclose(one[:frames], two[:frames], atol=1e-5)
    assert not torch.allclose(one[frames:], two[frames:], atol=1e-2)


def test_a_teacher_sees_the_future_and_only_so_far() -> None:
    torch.manual_seed(4)
    config = Config(columns=12, dim=32, layers=1, heads=2, channels=4, context=16, future=6, kernel=9)
    model = AcousticModel(config).eval()
    features = torch.randn(1, 8 * config.chunk * SUBSAMPLING, config.mels)
    other = features.clone()
    cut = 5 * config.chunk * SUBSAMPLING
    other[:, cut:] = torch.randn_like(other[:, cut:])
    with torch.no_grad():
        one, two = model(features)[0], model(other)[0]
    frames = cut // SUBSAMPLING
    seen = config.chunk + config.future + config.kernel
    assert torch.allclose(one[: frames - seen], two[: frames - seen], atol=1e-5)
    assert not torch.allclose(one[frames - 1], two[frames - 1], atol=1e-2)


def test_a_network_comes_back_from_its_graph() -> None:
    model = random_model(SMALL, 5)
    found = restore(streaming(model, None), SMALL.chunk, SMALL.delay)
    features = torch.randn(2, 9 * SMALL.chunk * SUBSAMPLING, SMALL.mels)
    assert found.config == SMALL
    with torch.no_grad():
        assert torch.allclose(found(features), model(features), atol=1e-4)


def test_other_chunks_keep_what_the_network_knows() -> None:
    model = random_model(SMALL, 6)
    longer = with_chunk(model, 2 * SMALL.chunk)
    back = with_chunk(longer, SMALL.chunk)
    features = torch.randn(1, 8 * SMALL.chunk * SUBSAMPLING, SMALL.mels)
    with torch.no_grad():
        plain, twice, again = model(features)[0], longer(features)[0], back(features)[0]
    assert longer.config.chunk == 2 * SMALL.chunk and torch.equal(plain, again)
    bias, wide = model.blocks[0].attention.bias, longer.blocks[0].attention.bias
    # The same key is as far away in both; at either end longer chunks have distances of their own.
    assert torch.equal(wide[:, SMALL.chunk : SMALL.chunk + bias.shape[1]], bias)
    assert torch.equal(wide[:, -1], bias[:, -1])
    assert not torch.allclose(plain, twice, atol=1e-2)


def test_kept_norms_stay_as_they_are() -> None:
    model = random_model(SMALL, 7).train()
    keep_norms(model)
    norm = model.blocks[0].convolution.batch_norm
    mean = norm.running_mean.clone()
    model(torch.randn(2, 8 * SMALL.chunk * SUBSAMPLING, SMALL.mels))
    assert torch.equal(norm.running_mean, mean) and model.blocks[0].training


# --- labels ----------------------------------------------------------------------------------------------------------


def at_frame(frame: float) -> float:
    """The sample at which the centre of an output frame lies."""
    return frame * STRIDE + CENTRE


def test_first_frames_follow_the_sound() -> None:
    segments = [(0, 0.0), (3, at_frame(4)), (5, at_frame(9))]
    assert first_frames(segments, 1.0, 20).tolist() == [0, 4, 9]
    doubled = [(unit, 2 * start) for unit, start in segments]
    assert first_frames(doubled, 2.0, 20).tolist() == [0, 4, 9], "twice as long, played twice as fast"


def test_every_segment_gets_a_frame_even_at_the_ends() -> None:
    crowded = [(0, 0.0), (1, at_frame(1.0)), (2, at_frame(1.1)), (3, at_frame(1.2)), (4, at_frame(9.0))]
    assert first_frames(crowded, 1.0, 10).tolist() == [0, 1, 2, 3, 9]
    late = [(0, 0.0), (1, at_frame(9.0)), (2, at_frame(9.1)), (3, at_frame(9.2))]
    assert first_frames(late, 1.0, 10).tolist() == [0, 7, 8, 9]
    assert first_frames(late, 1.0, 3) is None, "four units do not fit into three frames"


def test_a_batch_labels_begin_and_continue() -> None:
    item = Item(
        "a", "c", "train", "s", ["w"], 0, 20 * STRIDE, [[(3, 5)]], [(0, 0.0), (3, at_frame(4)), (5, at_frame(9))]
    )
    short = Item("b", "c", "train", "s", ["w"], 0, 10 * STRIDE, [[(3,)]], [(0, 0.0), (3, at_frame(4))])
    batch = assemble([item, short], np.random.default_rng(1))
    frames = batch.frames.tolist()
    assert frames[0] > frames[1]
    long = [0] + [1] * 3 + [6] + [7] * 4 + [10] + [11] * (frames[0] - 10)
    assert batch.labels[0].tolist() == long
    assert batch.labels[1, frames[1] :].tolist() == [-100] * (frames[0] - frames[1])
    assert batch.units.tolist() == [[0, 3, 5], [0, 3, -1]]
    assert batch.first_frames.tolist() == [[0, 4, 9], [0, 4, -1]]


def test_a_span_is_said_alone_in_the_room_of_its_utterance() -> None:
    words, ways = ["one", "two"], [[(3, 5)], [(7,), (8, 9)]]
    path = [(0, 0), (3, 10), (5, 14), (0, 20), (8, 24), (9, 30), (0, 36)]
    item = Item("a", "c", "train", "s", words, 0, 50 * STRIDE, ways, [(unit, at_frame(frame)) for unit, frame in path])
    samples = torch.full((50 * STRIDE,), 100, dtype=torch.int16)
    for first, last, level in ((10, 20, 3000), (24, 36, 5000)):
        samples[first * STRIDE - 40 : last * STRIDE - 40] = level
    rng = np.random.default_rng(1)
    seen = set()
    for cut in (spans.span(item, rng) for _ in range(40)):
        batch = assemble([cut], rng)
        seen.add(" ".join(cut.words))
        assert batch.units[0].tolist() == [0, *(u for u, _ in cut.segments[1:-1]), 0]
        sound = gather(samples, batch.to(torch.device("cpu")), batch.samples)[0] * 32768
        kept = slice(cut.cut.first + 400, cut.cut.last - 400)
        if len(cut.words) == 1:
            assert (sound[kept] == (3000 if cut.words == ["one"] else 5000)).all()
        assert (sound[: cut.cut.first - 1] == 100).all() and (sound[cut.cut.last + 1 : -2] == 100).all()
        begun = batch.first_frames[0, 1] * STRIDE
        assert abs(begun - cut.cut.first - spans.MARGIN) < STRIDE
    assert seen == {"one", "two", "one two"}
    assert len(spans.drawn([item], 3.0, rng)) == 3


def test_what_cannot_be_cut_is_left_out() -> None:
    path = [(0, 0), (3, 2), (5, 14), (0, 20)]
    segments = [(unit, at_frame(frame)) for unit, frame in path]
    breathless = Item("a", "c", "train", "s", ["one"], 0, 23 * STRIDE, [[(3, 5)]], segments)
    assert spans.span(breathless, np.random.default_rng(1)) is None
    other = replace(breathless, length=50 * STRIDE, pronunciations=[[(3, 4)]])
    assert spans.span(other, np.random.default_rng(1)) is None


# --- search ----------------------------------------------------------------------------------------------------------


def synthetic(path: list[tuple[int, int]], units: int) -> np.ndarray:
    """Posteriors that are nearly certain of a path of (unit, frames)."""
    columns = [2 * unit + (i > 0) for unit, frames in path for i in range(frames)]
    scores = np.full((len(columns), 2 * units), math.log(0.01 / (2 * units)))
    scores[np.arange(len(columns)), columns] = math.log(0.99)
    return scores


def test_alignment_finds_times_pause_and_pronunciation() -> None:
    said = [(SIL, 3), (1, 2), (2, 4), (SIL, 2), (3, 1), (3, 5), (SIL, 4)]
    words = [[(1, 4), (1, 2)], [(3, 3)]]
    path = viterbi.align(synthetic(said, 5), viterbi.transcript_graph(words))
    starts = np.cumsum([0, *(frames for _, frames in said)])[:-1].tolist()
    assert path == [(unit, start, frames) for (unit, frames), start in zip(said, starts, strict=True)]


def test_alignment_needs_no_silence_and_says_when_nothing_fits() -> None:
    path = viterbi.align(synthetic([(1, 2), (2, 1), (3, 2)], 5), viterbi.transcript_graph([[(1, 2)], [(3,)]]))
    assert [unit for unit, *_ in path] == [1, 2, 3]
    assert viterbi.align(synthetic([(1, 2)], 5), viterbi.transcript_graph([[(1, 2, 3)]])) is None


def test_the_phone_loop_hears_repeated_phones_apart() -> None:
    flat = np.full((5, 5), -math.log(5))
    assert viterbi.phone_loop(synthetic([(SIL, 2), (3, 3), (3, 2), (1, 1)], 5), flat) == [SIL, 3, 3, 1]


def test_the_loop_obeys_the_bigram() -> None:
    transitions = np.full((3, 3), -math.log(3))
    doubtful = synthetic([(1, 2), (2, 2)], 3)
    doubtful[2, 4] = doubtful[2, 3]
    assert viterbi.phone_loop(doubtful, transitions) == [1, 2]
    transitions[1, 2] = -1e6
    assert (1, 2) not in itertools.pairwise(viterbi.phone_loop(doubtful, transitions))


def test_phone_error_counts_by_corpus() -> None:
    flat = np.full((5, 5), -math.log(5))
    columns = synthetic([(SIL, 2), (1, 2), (2, 2), (3, 2)], 5)
    rows = [
        scoring.phone_errors(scoring.Heard(corpus, reference, columns, flat))
        for corpus, reference in (("a", [SIL, 1, 2, 3]), ("a", [1, 4, 3]), ("b", [1, 2]))
    ]
    assert scoring.by_corpus(rows) == {"a": round(1 / 6, 4), "b": 0.5}


def test_a_limit_counts_for_each_corpus() -> None:
    items = [Item(str(i), "ab"[i % 2], "dev", "s", [], 0, 0, []) for i in range(10)]
    assert [item.id for item in first_of_each(items, 2)] == ["0", "1", "2", "3"]


# --- criteria --------------------------------------------------------------------------------------------------------


def by_hand(columns: torch.Tensor, transitions: torch.Tensor | None, paths: list[list[tuple[int, int]]]) -> float:
    """Log sum over explicit paths of (unit, frames), with the bigram's part where there is one."""
    total = []
    for path in paths:
        before, score, frame = SIL, 0.0, 0
        for unit, frames in path:
            score += 0.0 if transitions is None else float(transitions[before, unit])
            for i in range(frames):
                score += float(columns[frame, 2 * unit + (i > 0)])
                frame += 1
            before = unit
        total.append(score)
    return float(torch.tensor(total, dtype=torch.float64).logsumexp(0))


def segmentations(frames: int) -> list[list[int]]:
    """All ways to cut so many frames into stretches."""
    cuts = range(1, frames)
    chosen = (c for n in range(frames) for c in itertools.combinations(cuts, n))
    return [np.diff([0, *c, frames]).tolist() for c in chosen]


def test_denominator_sums_every_path() -> None:
    units, frames = 3, 5
    columns, transitions = random_columns(1, frames, units, 4), bigram(units, 4)
    paths = [
        list(zip(names, lengths, strict=True))
        for lengths in segmentations(frames)
        for names in itertools.product(range(units), repeat=len(lengths))
    ]
    wanted = by_hand(columns[0], transitions, paths)
    assert losses.denominator(columns, transitions, torch.tensor([frames])).item() == pytest.approx(wanted, abs=1e-3)


def test_numerator_sums_every_alignment_in_reach() -> None:
    columns = random_columns(1, 6, 3, 5)
    units, starts = torch.tensor([[0, 2, 1]]), torch.tensor([[0, 2, 4]])
    paths = [list(zip([0, 2, 1], lengths, strict=True)) for lengths in segmentations(6) if len(lengths) == 3]
    wide = losses.numerator(columns, units, starts, torch.tensor([3]), torch.tensor([6]), tolerance=6)
    assert wide.item() == pytest.approx(by_hand(columns[0], None, paths), abs=1e-3)
    narrow = losses.numerator(columns, units, starts, torch.tensor([3]), torch.tensor([6]), tolerance=0)
    assert narrow.item() == pytest.approx(by_hand(columns[0], None, [[(0, 2), (2, 2), (1, 2)]]), abs=1e-3)


def test_numerator_with_its_transitions_is_part_of_the_denominator() -> None:
    units, frames = 6, torch.tensor([30, 24])
    columns, transitions = random_columns(2, 30, units, 6), bigram(units, 6)
    names = torch.tensor([[0, 3, 1, 5, 0], [0, 2, 4, -1, -1]])
    starts = torch.tensor([[0, 5, 9, 17, 25], [0, 8, 16, -1, -1]])
    above = losses.numerator(columns, names, starts, torch.tensor([5, 3]), frames, tolerance=3)
    sentences = ([0, 3, 1, 5, 0], [0, 2, 4])
    prior = torch.tensor([sum(transitions[v, u] for v, u in itertools.pairwise([SIL, *s])) for s in sentences])
    below = losses.denominator(columns, transitions, frames)
    assert (above + prior <= below + 1e-3).all()


def test_padding_plays_no_part() -> None:
    columns, transitions = random_columns(1, 20, 4, 7), bigram(4, 7)
    names, starts, counts = torch.tensor([[0, 3, 1]]), torch.tensor([[0, 4, 9]]), torch.tensor([3])
    exact = losses.mmi(columns[:, :14], names, starts, counts, torch.tensor([14]), transitions)
    padded_names, padded_starts = (torch.nn.functional.pad(t, (0, 2), value=-1) for t in (names, starts))
    padded = losses.mmi(columns, padded_names, padded_starts, counts, torch.tensor([14]), transitions)
    assert padded.item() == pytest.approx(exact.item(), abs=1e-4)


# --- learning --------------------------------------------------------------------------------------------------------


def test_ten_utterances_are_learnt_by_heart_under_both_criteria() -> None:
    torch.manual_seed(8)
    torch.set_num_threads(1)
    rng = np.random.default_rng(8)
    units, frames, rows = 8, 36, 10
    config = Config(mels=80, columns=2 * units, dim=48, layers=2, heads=2, channels=4, context=16, dropout=0.0)
    model = AcousticModel(config)
    patterns = rng.standard_normal((units, 80)).astype(np.float32) * 1.5
    spoken = [[SIL, *rng.integers(1, units, 6).tolist(), SIL] for _ in range(rows)]
    starts = np.arange(8)[None] * 4 + np.concatenate([np.zeros((rows, 1)), rng.integers(0, 4, (rows, 7))], axis=1)
    starts = starts.astype(np.int64)
    sound = np.zeros((rows, frames, 80), np.float32)
    labels = np.zeros((rows, frames), np.int64)
    for row, (names, first) in enumerate(zip(spoken, starts, strict=True)):
        lengths = np.diff([*first, frames])
        sound[row] = np.repeat(patterns[names], lengths, axis=0)
        labels[row] = np.repeat(2 * np.array(names) + 1, lengths)
        labels[row, first] = 2 * np.array(names)
    features = torch.from_numpy(np.repeat(sound, SUBSAMPLING, axis=1))
    features = features + 0.3 * torch.randn_like(features)
    features = torch.nn.functional.pad(features, (0, 0, 0, model.padded(frames * SUBSAMPLING) - features.shape[1]))
    names, counts = torch.tensor(spoken), torch.full((rows,), 8)
    lengths, flat = torch.full((rows,), frames), torch.full((units, units), -math.log(units))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    trail = []
    for step in range(160):
        columns = losses.shifted(model(features), config.delay, frames)
        loss = losses.cross_entropy(columns, torch.from_numpy(labels))
        if step >= 100:
            loss = losses.mmi(columns, names, torch.from_numpy(starts), counts, lengths, flat) + 0.3 * loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        trail.append(loss.item())
    assert trail[99] < trail[0] / 5 and trail[-1] < trail[100]
    with torch.no_grad():
        columns = losses.shifted(model.eval()(features), config.delay, frames).numpy()
    rows = [
        scoring.phone_errors(scoring.Heard("ten", reference, heard, flat.numpy()))
        for reference, heard in zip(spoken, columns, strict=True)
    ]
    assert scoring.by_corpus(rows) == {"ten": 0.0}


def test_a_corpus_is_heard_as_often_as_wanted_and_an_unknown_one_is_refused() -> None:
    items = [Item(name, corpus, "train", "", [], 0, 0, []) for name, corpus in (("1", "a"), ("2", "b"))]
    assert [item.corpus for item in repeated(items, ["b=3"])] == ["a", "b", "b", "b"]
    with pytest.raises(ValueError, match="no corpus c in the pack"):
        repeated(items, ["c=2"])


def test_strength_takes_figures_by_name_and_refuses_others() -> None:
    assert augment.strength(["noisy=0.75", "track=10"]) == augment.Strength(noisy=0.75, track=10)
    for wrong in ("loud=1", "gain=3"):
        with pytest.raises(ValueError, match="not one of room"):
            augment.strength([wrong])


@pytest.mark.parametrize("kind", [noise.music, noise.engine, noise.fan, noise.rain, noise.clatter, noise.cries])
def test_made_interference_is_finite_and_as_long_as_asked(kind: Callable) -> None:
    for seed in range(4):
        sound = kind(32_000, np.random.default_rng(seed))
        assert sound.shape == (32_000,) and np.isfinite(sound).all() and sound.std() > 1e-3


def test_stages_align_train_and_leave_a_checkpoint_that_evaluates(tmp_path: Path) -> None:
    said = {("a", "1"): [1, 2, 3], ("b", "1"): [3, 1], ("a", "2"): [2, 1], ("b", "2"): [1, 3, 2, 3]}
    entries = [(*key, "train", units) for key, units in said.items()]
    write_pack(tmp_path, [*entries, ("a", "3", "dev", [2, 3])])
    options = f"""--device cpu --seconds 10 --average 0.9 --workers 1 --strength track=10 --repeat b=2 --speeds 0.9 1.0
    --dim 32 --layers 1 --chunk 4 --pack {tmp_path} --out {tmp_path} --schedule ce:0.02 mmi:0.02""".split()
    trainer = Trainer(arguments().parse_args(options))
    trainer.realign(0.0)
    for item in trainer.train_items:
        own = [unit for unit, _ in item.segments if unit != SIL]
        assert own == said[item.key], "two corpora may number their utterances alike"
    trainer.count_transitions()
    for number, stage in enumerate(trainer.args.schedule):
        kind, minutes = stage.split(":")
        trainer.stage(number, kind, float(minutes))
        report = trainer.report(0.0)
    assert report.keys() == {"a"}
    transitions = trainer.transitions.numpy()
    network = of_checkpoint(tmp_path / "stage1.pt", prior_scale=0.0)
    rows = map(scoring.phone_errors, heard(trainer.dev_items, trainer.pack.samples, network, transitions))
    assert scoring.by_corpus(rows).keys() == {"a"}

    last = torch.load(tmp_path / "stage1-last.pt", weights_only=True)
    trainer.load(tmp_path / "stage1.pt")
    assert torch.equal(trainer.model.out.weight, last["out.weight"])
    assert not torch.equal(trainer.average.out.weight, last["out.weight"])

    pupil = Trainer(arguments().parse_args([*options, "--future", "6"]))
    pupil.distil(forced.load(tmp_path / "stage1.pt", pupil.device)[0])
    pupil.label_with(pupil.teacher, 0.0)
    pupil.stage(0, "ce", 0.02)
    assert pupil.report(0.0).keys() == {"a"}


def test_a_pack_with_two_utterances_of_one_name_is_refused(tmp_path: Path) -> None:
    write_pack(tmp_path, [("a", "1", "train", [1]), ("a", "1", "train", [2])])
    with pytest.raises(ValueError, match="a name of its own"):
        Pack(tmp_path)


# --- augmentation ----------------------------------------------------------------------------------------------------


def test_augmented_sound_is_sound_and_the_seed_decides() -> None:
    speech = 0.1 * torch.randn(6, 24_000, generator=torch.Generator().manual_seed(6))
    strength = augment.Strength(room=1.0, band=1.0, noisy=1.0, track=10, cabins=2)
    made = [augment.Augment(torch.device("cpu"), seed, strength).waveform(speech) for seed in (1, 1, 2)]
    assert made[0].shape == speech.shape and made[0].isfinite().all() and made[0].abs().max() <= 1
    assert torch.equal(made[0], made[1]) and not torch.allclose(made[0], made[2], atol=1e-2)


def test_without_any_share_only_the_gain_is_left() -> None:
    speech = 0.1 * torch.randn(3, 16_000)
    strength = augment.Strength(room=0.0, band=0.0, noisy=0.0, gain=(-6.0, -6.0), track=10, cabins=1)
    made = augment.Augment(torch.device("cpu"), 1, strength).waveform(speech)
    assert torch.allclose(made, speech * 10 ** (-6 / 20), atol=1e-4)


def test_a_cabin_answers_after_the_direct_sound_and_dies_down() -> None:
    for seed in range(5):
        response = cabin.response(np.random.default_rng(seed))
        assert response.argmax() == 0 and response[0] >= 1
        assert np.square(response[800:]).sum() < 0.01 * np.square(response).sum()


def test_every_kind_of_interference_sounds() -> None:
    for make in (noise.music, noise.engine, noise.fan, noise.rain):
        sound = make(32_000, np.random.default_rng(1))
        assert len(sound) == 32_000 and np.isfinite(sound).all() and sound.std() > 1e-3


# --- averaging -------------------------------------------------------------------------------------------------------


def checkpoint(seed: int) -> dict:
    model = random_model(SMALL, seed)
    return {"config": model.config.as_dict(), "average": model.state_dict(), "kind": f"kind {seed}"}


def test_averaged_weights_lie_between_those_of_the_checkpoints() -> None:
    one, other = checkpoint(1), checkpoint(2)
    mean = average([one, other], [0.75, 0.25])
    assert mean["kind"] == "kind 1"
    wanted = 0.75 * one["average"]["out.weight"] + 0.25 * other["average"]["out.weight"]
    assert torch.allclose(mean["average"]["out.weight"], wanted)


def test_shares_must_add_up_and_networks_be_alike() -> None:
    with pytest.raises(ValueError, match=r"add up to 0\.75"):
        average([checkpoint(1), checkpoint(2)], [0.5, 0.25])
    odd = checkpoint(2)
    odd["config"] = {**odd["config"], "layers": 9}
    with pytest.raises(ValueError, match="differ in shape"):
        average([checkpoint(1), odd], [0.5, 0.5])


# --- bundle ----------------------------------------------------------------------------------------------------------


def test_the_phone_bigram_survives_its_file(tmp_path: Path) -> None:
    phones = ["SIL", "A", "B"]
    wanted = bigram(3, 9).numpy()
    write_phone_lm(tmp_path / "lm.tsv", wanted, phones)
    assert np.abs(read_phone_lm(tmp_path / "lm.tsv", phones) - wanted).max() < 1e-4


@pytest.mark.parametrize("bundle", [BUNDLE, VEHICLE])
def test_the_shipped_hashes_are_right(bundle: Path) -> None:
    manifest = (bundle / "manifest.toml").read_text(encoding="utf-8")
    assert manifest.endswith("[files]\n" + hashes(bundle) + "\n"), (
        "run `python -m training.g2p lexicon`, or training.export and `vocar-compress quantise`"
    )


def test_both_shipped_bundles_differ_in_the_network_alone() -> None:
    def told(bundle: Path) -> list[str]:
        lines = (bundle / "manifest.toml").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if "am-" not in line]

    assert told(BUNDLE) == told(VEHICLE), "run `vocar-compress quantise … --alone` as training/README.md says"


def test_rehash_changes_the_hashes_alone(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text(name)
    (tmp_path / "manifest.toml").write_text('format = 1\n\n[files]\n"am-f32.onnx" = "old"\n')
    rehash(tmp_path)
    assert (tmp_path / "manifest.toml").read_text() == f"format = 1\n\n[files]\n{hashes(tmp_path)}\n"


def test_extra_words_are_needed_and_in_the_lexicon() -> None:
    phones = read_phones(BUNDLE / "phones.txt")
    model = Model.load(BUNDLE / "g2p.bin")
    lexicon = Lexicon(BUNDLE / "lexicon.txt", phones, lambda word: [model.pronounce(word)])
    extra = cmudict_text.read_lexicon(EXTRA)
    assert list(extra) == sorted(extra)
    for word, pronunciations in extra.items():
        assert lexicon.pronunciations(word) == [tuple(phones.index(p) for p in said) for said in pronunciations], word
        assert pronunciations != [model.pronounce(word)], f"{word}: the model finds this by itself"


KERNELS = """
import torch
from training import lattice_free, losses

torch.manual_seed(1)
columns = torch.randn(3, 14, 10).mul(2).log_softmax(-1)
transitions = torch.randn(5, 5).log_softmax(-1)
frames = torch.tensor([14, 9, 11])
units = torch.tensor([[0, 3, 2, 3, 1], [0, 4, 4, -1, -1], [1, 2, 0, 3, -1]])
firsts = torch.tensor([[0, 3, 6, 8, 12], [0, 2, 6, -1, -1], [0, 4, 6, 8, -1]])
counts = torch.tensor([5, 3, 4])
for name, rest in (("denominator", (transitions, frames)), ("numerator", (units, firsts, counts, frames, 2))):
    plain, fast = columns.clone().requires_grad_(), columns.clone().requires_grad_()
    expected, found = getattr(losses, name)(plain, *rest), getattr(lattice_free, name)(fast, *rest)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)
    for sums in (expected, found):
        (sums * torch.tensor([1.0, -0.5, 2.0])).sum().backward()
    torch.testing.assert_close(fast.grad, plain.grad, atol=1e-3, rtol=1e-3)
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton here")
def test_gpu_kernels_sum_what_the_plain_sums_do() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", KERNELS], check=True, env=environment)


def test_a_team_of_two_learns_as_one_and_its_leader_saves(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    write_pack(tmp_path / "pack", [("a", str(i), "train", [1 + i % 3, 2]) for i in range(8)])
    restored = tmp_path / "shipped.pt"
    subprocess.run([sys.executable, "-m", "training.restore", "--out", restored], check=True)
    options = f"--device cpu --workers 1 --seconds 2 --strength track=10 --schedule mmi:0.03 --out {tmp_path}/run"
    team = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "training.train"]
    command = [*team, "--pack", tmp_path / "pack", "--label-with", restored, "--warm-start", restored, *options.split()]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.stdout.count("steps") == 1, done.stdout
    before, after = (torch.load(path, weights_only=True)["average"] for path in (restored, tmp_path / "run/stage0.pt"))
    assert not torch.equal(before["out.weight"], after["out.weight"])
