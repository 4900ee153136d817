"""The language model's recipe: text, data, noise, learning, export. A few seconds."""

from __future__ import annotations

import itertools
import json
import math
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from training import fake_quant
from training.nlu import car_domain, chain, data, evaluate, names, pretrain, scoring, tensors, train
from training.nlu.export import TOLERANCE, check, graph, manifest, write
from training.nlu.model import Config, Encoder, Lookup, Understanding, load, saved
from training.nlu.noise import Noise, cardinal, sound_alikes, spoken
from training.nlu.restore import beside, restore
from training.nlu.rounded import HalvedNorm, Rounded, round_layers, search_scales
from training.nlu.text import BUCKETS, grams, words
from training.nlu.values import Values
from training.tests.fake_quant_fixture import drawn, expected
from training.tests.test_fake_quant import _stored_layers as stored_layers

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "target" / "release" / "vocar-compress"


def test_texts_are_split_as_the_daemon_splits_them():
    lines = (ROOT / "nlu" / "testdata" / "encoder-text.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(lines) > 15
    for line in lines:
        raw, split, buckets = line.split("\t")
        found = words(json.loads(raw))
        assert " ".join(word.text for word in found) == split
        assert " ".join(str(bucket) for word in found for bucket in grams(word.text)) == buckets


def test_places_of_words_are_those_in_the_text():
    text = "Play ‘Löwe’ at 21.5% by R&B’s best"
    for word in words(text):
        assert 0 <= word.start < word.end <= len(text)
        if word.text.isalpha() and word.text not in ("percent", "and", "loewe"):
            assert text[word.start : word.end].lower() == word.text


def test_tensors_come_back(tmp_path: Path):
    kept = {"a": np.arange(6, dtype=np.int8).reshape(2, 3), "b": np.array([0.5, -2.0], np.float16)}
    tensors.write(tmp_path / "t", kept, {"z": "1", "y": "two\nlines"})
    back, remarks = tensors.read(tmp_path / "t")
    assert remarks == {"z": "1", "y": "two\nlines"}
    assert all((back[name] == kept[name]).all() and back[name].dtype == kept[name].dtype for name in kept)


def test_tags_and_spans_are_each_other():
    spans = [("zone", 1, 3), ("zone", 3, 4), ("percent", 5, 6)]
    assert data.spans(data.bio(7, spans)) == spans
    assert data.spans(["I-a", "I-a", "O", "I-b"]) == [("a", 0, 2), ("b", 3, 4)]


def pack(folder: Path, name: str, split: str, rows: list[tuple[str, str, list]]) -> None:
    lines = [
        json.dumps(
            {
                "text": text,
                "intent": intent,
                "slots": [
                    {"name": n, "value": v, "start": text.index(v), "end": text.index(v) + len(v)} for n, v in slots
                ],
            }
        )
        for text, intent, slots in rows
    ]
    (folder / f"{name}-{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Packs and samples of a few sentences each."""
    music = [
        (f"play {a} by {b}", "PlayMusic", [("track", a), ("artist", b)])
        for a in ("yesterday", "purple rain", "help")
        for b in ("prince", "the beatles", "queen")
    ]
    book = [
        (f"rate {a} {n} stars", "RateBook", [("object_name", a)]) for a in ("dune", "the hobbit") for n in (1, 2, 5)
    ]
    pack(tmp_path, "sonos-nlu-benchmark", "train", music + book)
    pack(tmp_path, "sonos-nlu-benchmark", "test", music[:1])
    pack(
        tmp_path,
        "nlu-evaluation-data",
        "train",
        [(f"wake me at {t}", "alarm_set", [("time", t)]) for t in ("five", "six am", "noon", "ten")],
    )
    pack(
        tmp_path,
        "clinc-oos-eval",
        "train",
        [
            *((f"what is the {w} time", "time", []) for w in ("exact", "right", "local")),
            *((f"roll {n} dice", "roll_dice", []) for n in ("two", "six", "ten")),
            *((f"why is the {n} blue", "oos", []) for n in ("sky", "sea")),
        ],
    )
    pack(tmp_path, "clinc-oos-eval", "dev", [("roll the dice", "roll_dice", []), ("who ate my shoe", "oos", [])])
    heading = "text\tintent\tslots\tspans"
    for split in ("train", "dev"):
        rows = [f'open the {z} window\twindow.open\t{{}}\t{{"zone":[2,3]}}' for z in ("left", "right", "rear", split)]
        rows += [f"play {m} music\tmedia.play\t{{}}\t{{}}" for m in ("some", "good", split)]
        (tmp_path / f"{split}.tsv").write_text("\n".join([heading, *rows]), encoding="utf-8")
        strange = [f"close my {word}\tstrange.none\t{{}}\t{{}}" for word in ("eyes", "mouth", split)]
        (tmp_path / f"strangers-{split}.tsv").write_text("\n".join([heading, *strange]), encoding="utf-8")
    everyday = "text\tintent\tslots\tspans\nopen the left window\twindow.open\t{}\t" + '{"zone":"left"}\n'
    (tmp_path / "everyday.tsv").write_text(everyday, encoding="utf-8")
    return tmp_path


def corpus(folder: Path) -> data.Corpus:
    return data.corpus(folder, data.samples(folder), folder / "everyday.tsv")


def test_what_is_measured_is_not_learnt(small: Path):
    found = corpus(small)
    for domain in data.DOMAINS:
        learnt = {example.key for example in found.of("train", domain)}
        assert learnt
        for split in ("dev", "test"):
            assert not learnt & {example.key for example in found.of(split, domain)}, (domain, split)
    assert "play yesterday by prince" not in {e.key for e in found.of("train", "sonos")}
    assert "open the left window" not in {e.key for e in found.examples["train"]}


def test_the_car_takes_from_the_packs_what_it_knows_and_what_it_does_not(small: Path):
    taken = {e.key: e.intent for e in corpus(small).of("train", "car")}
    assert taken["what is the exact time"] == "clock.time"
    assert taken["roll two dice"] == data.NONE
    assert taken["why is the sky blue"] == data.NONE


def test_of_what_was_heard_only_what_is_sure_and_new_is_learnt(small: Path):
    heard = [
        ("open a left window", "window.open", '{"zone":[2,3]}', "open the left window", 0, 0.9),
        ("open the rear window", "window.open", '{"zone":[2,3]}', "open the right window", 0, 0.9),
        ("often the left", "window.open", "{}", "open the left window", 1, 0.1),
        ("lay music", "media.play", "{}", "play good music", 0, 0.8),
        ("lay music", "window.open", "{}", "open the left window", 2, 0.4),
        ("play good music", "media.play", "{}", "play good music", 0, 0.9),
    ]
    lines = ["\t".join(map(str, (t, i, "{}", spans, said, rank, sure))) for t, i, spans, said, rank, sure in heard]
    path = small / "heard.tsv"
    path.write_text("\n".join(["heading", *lines]), encoding="utf-8")
    assert [(e.key, e.intent, e.tags) for e in data.read_heard([path])[:1]] == [
        ("open a left window", "window.open", ["O", "O", "B-zone", "O"])
    ]
    found = data.corpus(small, data.samples(small), small / "everyday.tsv", heard=[path])
    new = {e.key for e in found.of("train", "car")} - {e.key for e in corpus(small).of("train", "car")}
    assert new == {"open a left window"}


def test_a_layer_rounds_as_integers_do():
    torch.manual_seed(3)
    layer, x = nn.Linear(64, 48), torch.randn(5, 64)
    rounded = Rounded(layer)
    scale = layer.weight.abs().amax(1) / 127
    row = x.abs().amax(1, keepdim=True) / 127
    integers = (layer.weight / scale[:, None]).round().long(), (x / row).round().long()
    wanted = (integers[1] @ integers[0].T) * row * scale + layer.bias
    assert torch.allclose(rounded(x), wanted, atol=1e-5)
    assert not torch.equal(rounded(x), layer(x))
    rounded(x).sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.abs().sum() > 0


def test_a_network_that_rounds_keeps_its_names():
    network = nn.Sequential(nn.Linear(4, 4), nn.ModuleDict({"inner": nn.Linear(4, 2)}))
    before = list(network.state_dict())
    round_layers(network)
    round_layers(network)
    assert list(network.state_dict()) == before
    assert sum(isinstance(one, Rounded) for one in network.modules()) == 2


@pytest.mark.parametrize("width", ["int8", "int4"])
def test_a_layer_computes_what_the_run_time_does(width: str):
    values = drawn()
    layer = nn.Linear(values["weight"].shape[1], len(values["weight"]))
    layer.weight.data, layer.bias.data = values["weight"], values["bias"]
    rounded = Rounded(layer, width)
    with torch.no_grad():
        assert torch.equal(rounded(values["activations"]), expected(values)[width]["output"])
    rounded(values["activations"]).sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.abs().sum() > 0


PLAN = {
    "project": "int8",
    "blocks.0.qkv": "int4",
    "blocks.0.out": "int4",
    "blocks.0.up": "f16",
    "blocks.0.down": "int4",
    "blocks.1.qkv": "int8",
    "blocks.1.out": "f32",
    "blocks.1.up": "int4",
    "blocks.1.down": "int8",
}


def plan_file(path: Path) -> Path:
    lines = [f'"{fake_quant.product_name(name)}" = "{width}"' for name, width in PLAN.items()]
    path.write_text("budget = 0\nmeasured = 0\nhalve_the_rest = true\n[layers]\n" + "\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.skipif(not TOOL.exists(), reason="needs `cargo build --release --bin vocar-compress`")
@pytest.mark.parametrize("planned", [True, False])
def test_a_network_that_rounds_by_plan_is_the_one_that_is_quantised(tmp_path: Path, planned: bool):
    encoder = small_network().encoder
    floats, small = tmp_path / "floats.onnx", tmp_path / "small.onnx"
    floats.write_bytes(graph(encoder).SerializeToString())
    plan = plan_file(tmp_path / "plan.toml")
    how, source = (["--plan", plan], str(plan)) if planned else (["--bits", "4", "--halve-the-rest"], "int4")
    subprocess.run([TOOL, "quantise", floats, small, *how], check=True, capture_output=True)
    before = list(encoder.state_dict())
    round_layers(encoder, source)
    assert list(encoder.state_dict()) == before
    assert sum(isinstance(one, HalvedNorm) for one in encoder.modules()) == 5
    assert same_grids(encoder, onnx.load(small).graph) == (7 if planned else 8)


def same_grids(encoder: nn.Module, stored: onnx.GraphProto) -> int:
    """Every integer, scale and half float in the file is that of training; returns in how many layers."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in stored.initializer}
    products, compared = stored_layers(stored, values), 0
    halves = {value.astype(np.float32).tobytes() for value in values.values() if value.dtype == np.float16}
    for name, layer in encoder.named_modules():
        if not isinstance(layer, (Rounded, HalvedNorm)):
            continue
        for part in (layer.weight, layer.bias):
            if part.numel() >= fake_quant.FEWEST_HALVES and part.ndim == 1:
                assert fake_quant.halves(part).detach().numpy().tobytes() in halves, name
        if not isinstance(layer, Rounded):
            continue
        if layer.width in ("f16", "f32"):
            assert np.ascontiguousarray(fake_quant.halves(layer.weight).detach().numpy().T).tobytes() in halves, name
            continue
        integers, scales = (value.astype(np.float32) for value in products[fake_quant.product_name(name)])
        if layer.width == "int8":
            weight, factor = (value.detach().numpy() for value in layer._int8())
            assert np.array_equal(integers.T, weight) and np.array_equal(scales, factor), name
        else:
            integers = products[fake_quant.product_name(name)][0]
            pairs = np.stack([integers & 15, integers >> 4], axis=-1).astype(np.float32) - 8
            groups = pairs.reshape(len(layer.weight), -1, 32) * scales.reshape(len(layer.weight), -1, 1)
            assert np.array_equal(groups.reshape(layer.weight.shape), layer._int4()[0].detach().numpy()), name
        compared += 1
    return compared


def test_scales_are_searched_for_all_layers_at_once_and_again_for_every_run(tmp_path: Path):
    encoder, rows = small_network().encoder, torch.randn(2, 4, 8)
    round_layers(encoder, str(plan_file(tmp_path / "plan.toml")))
    apart = encoder.inner(rows, None)
    search_scales(encoder)
    assert encoder.blocks[1].up.grid is not None
    assert torch.equal(encoder.inner(rows, None), apart) and encoder.blocks[1].up.grid is None
    with pytest.raises(ValueError, match=r"block7\.up\.product"):
        plan = (tmp_path / "plan.toml").read_text(encoding="utf-8")
        (tmp_path / "plan.toml").write_text(plan.replace("block1.up", "block7.up"), encoding="utf-8")
        round_layers(small_network().encoder, str(tmp_path / "plan.toml"))


def test_a_pruned_network_is_exported_and_restored(tmp_path: Path):
    model = small_network()
    config = replace(model.encoder.config, pruned=[[1, 40], [2, 24]])
    torch.manual_seed(5)
    pruned = Understanding(Encoder(config), config.dim, dict.fromkeys(data.DOMAINS, (3, 3))).eval()
    labels = {
        "vocabulary": ["a", "b", "c", "d", "e"],
        "intents": {key: [data.NONE, "x", "y"] for key in data.DOMAINS},
        "tags": {key: ["O", "B-s", "I-s"] for key in data.DOMAINS},
    }
    write(tmp_path, pruned, labels)
    (tmp_path / "manifest.toml").write_text(manifest(tmp_path, "0.0.1"), encoding="utf-8")
    torch.save(labels | saved(pruned), tmp_path / "own.pt")
    state = restore(tmp_path, tmp_path / "encoder-f32.onnx")
    assert {name: state[name] for name in labels} == labels
    torch.save(state, tmp_path / "restored.pt")
    found, _ = load(tmp_path / "restored.pt")
    assert found.encoder.config.widths() == config.pruned and found.encoder.config.head == config.head
    batch = Lookup(labels["vocabulary"]).batch([["a", "zebra", "e"]], torch.device("cpu"))
    difference = [
        (one - two).abs().max() for one, two in zip(found.encoder(*batch), pruned.encoder(*batch), strict=True)
    ]
    assert 0 < max(difference) < 0.05
    whole = beside(state, tmp_path / "own.pt")["weights"]
    assert all(torch.allclose(whole[name], value, atol=1e-6) for name, value in pruned.state_dict().items())
    torch.save(labels | {"vocabulary": ["a"]} | saved(pruned), tmp_path / "other.pt")
    with pytest.raises(ValueError, match="another vocabulary"):
        beside(state, tmp_path / "other.pt")


def test_numbers_are_said():
    assert cardinal(21) == ["twenty", "one"] and cardinal(305) == ["three", "hundred", "five"]
    assert spoken("7:30", random.Random(1)) == ["seven", "thirty"]
    assert spoken("98.5", random.Random(1)) == ["ninety", "eight", "point", "five"]
    assert spoken("r2d2", random.Random(1)) == ["r2d2"]


def test_noise_moves_slots_with_their_words(tmp_path: Path):
    (tmp_path / "lexicon").write_text("two\tT UW\nto\tT AH\nseat\tS IY T\nsee\tS IY\nheat\tHH IY T\n", encoding="utf-8")
    alikes = sound_alikes(tmp_path / "lexicon")
    assert set(alikes["seat"]) == {"see", "heat"}
    noise, rng = Noise(alikes, untouched=0.0, confused=0.3, lost=0.2, polite=0.5), random.Random(3)
    sentence = "set the seat heating of the driver to 21 now".split()
    tags = data.bio(10, [("device", 2, 4), ("zone", 6, 7), ("level", 8, 9)])
    changed = 0
    for _ in range(300):
        said, moved = noise(sentence, tags, rng, True)
        assert moved is not None and len(said) == len(moved)
        for slot, start, end in data.spans(moved):
            assert moved[start] == f"B-{slot}"
            if slot == "level":
                assert said[start:end] in (["21"], ["twenty", "one"], ["twenty"], ["one"])
        changed += said != sentence
    assert changed > 200


def test_a_path_of_tags_never_goes_on_with_what_has_not_begun():
    tags = ["O", "B-a", "I-a", "B-b", "I-b"]
    steps = scoring.allowed(tags)
    rng = np.random.default_rng(2)
    for _ in range(50):
        path = [tags[number] for number in scoring.best_path(rng.standard_normal((6, 5)).astype(np.float32), steps)]
        assert all(path[start].startswith("B-") for _, start, _ in data.spans(path))


def test_a_chain_sums_over_every_sequence_of_tags():
    generator = torch.Generator().manual_seed(6)
    scores, steps = torch.randn(2, 3, 4, generator=generator), torch.randn(5, 4, generator=generator)
    lengths, tags = torch.tensor([3, 2]), torch.tensor([[1, 0, 3], [2, 2, 0]])
    for row, length in enumerate(lengths.tolist()):
        every = list(itertools.product(range(4), repeat=length))
        worth = {
            path: sum(
                float(scores[row, at, tag] + steps[path[at - 1] if at else -1, tag]) for at, tag in enumerate(path)
            )
            for path in every
        }
        total = math.log(sum(math.exp(value) for value in worth.values()))
        said = worth[tuple(tags[row, :length].tolist())]
        assert float(chain.loss(scores, steps, lengths, tags)[row]) == pytest.approx(total - said, abs=1e-4)
        share = sum(math.exp(value - total) for path, value in worth.items() if path[1] == 2)
        assert float(chain.marginals(scores, steps, lengths)[row, 1, 2]) == pytest.approx(share, abs=1e-4)
        best = scoring.best_path(scores[row, :length].numpy(), steps.numpy())
        assert worth[tuple(best)] == pytest.approx(max(worth.values()))


def test_values_are_swapped_within_their_slot(small: Path, tmp_path: Path):
    listed = tmp_path / "names.tsv"
    listed.write_text("person\tada lovelace\nperson\tgrace\n", encoding="utf-8")
    learnt = corpus(small).of("train", "sonos")
    values, rng = Values.of(learnt, listed, untouched=0.0, swapped=1.0), random.Random(3)
    artists = {"prince", "the beatles", "queen", "ada lovelace", "grace"}
    heard = set()
    for _ in range(200):
        example = values(learnt[0], rng)
        found = {slot: " ".join(example.words[start:end]) for slot, start, end in data.spans(example.tags)}
        assert found["artist"] in artists and found["track"] in ("yesterday", "purple rain", "help")
        assert example.words[0] == "play" and len(example.words) == len(example.tags)
        heard.add(found["artist"])
    assert heard == artists


def test_names_are_sayable_words():
    assert names.plain("Saint-Étienne") == "saint etienne" and names.plain("Ward 7") is None


def small_network() -> Understanding:
    torch.manual_seed(4)
    config = Config(vocabulary=5, row=8, dim=64, heads=2, layers=2)
    model = Understanding(Encoder(config), config.dim, dict.fromkeys(data.DOMAINS, (3, 3)))
    for block in model.encoder.blocks:
        for norm in (block.first, block.second):
            torch.nn.init.normal_(norm.weight, 1.0, 0.3)
            torch.nn.init.normal_(norm.bias, 0.0, 0.3)
    return model.eval()


def test_hidden_words_are_guessed_from_those_around_them(tmp_path: Path):
    texts = tmp_path / "texts"
    pairs = [("open", "window"), ("play", "music"), ("call", "mother"), ("dim", "lights")]
    texts.write_text("".join(f"please {verb} the {noun} now\n" for verb, noun in pairs) + "never learn this one\n")
    sentences = pretrain.read_texts([texts], {"never learn this one"})
    assert len(sentences) == 4
    lookup = Lookup(sorted({word for sentence in sentences for word in sentence}))
    said, wanted = pretrain.hide(sentences[0], lookup, random.Random(2))
    assert all(
        number == -100 or lookup.vocabulary[number - 1] == word
        for number, word in zip(wanted, sentences[0], strict=True)
    )
    assert said != sentences[0] and any(number > 0 for number in wanted)
    torch.manual_seed(1)
    config = Config(vocabulary=len(lookup.vocabulary), row=16, dim=32, heads=1, layers=1, dropout=0.0, unknown=0.0)
    assert pretrain.pretrain(Encoder(config), lookup, sentences, 5.0, rate=6e-3, size=16, steps=400) < 1.3


def test_the_exported_graph_is_the_trained_network():
    encoder = small_network().encoder
    assert check(encoder, graph(encoder).SerializeToString()) < TOLERANCE


def test_a_word_that_is_not_known_still_has_a_row_like_its_kin():
    model, lookup = small_network(), Lookup(["window"])
    _, numbers, buckets = lookup.batch([["windows", "windowss", "radio"]], torch.device("cpu"))
    assert numbers.tolist() == [0, 0, 0]
    rows = torch.nn.functional.normalize(model.encoder.rows(numbers, buckets))
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    assert int((buckets == BUCKETS).sum()) > 0


def test_paraphrases_are_for_training_or_development_never_both(tmp_path: Path):
    for split in ("train", "dev"):
        car_domain.lay_out(tmp_path / split, split)
    learnt, chosen_on = ((tmp_path / s / "paraphrases.toml").read_text(encoding="utf-8") for s in ("train", "dev"))
    side = "(on|at|for|in) [the] {zone} [side|seat|seats|row]"  # a rule, which both have
    templates = [set(text.split('"')) for text in (learnt, chosen_on)]
    assert len({t for t in templates[0] & templates[1] if " " in t and "{" in t and t != side}) == 0
    assert learnt.count("[[intents]]") > 130 and chosen_on.count("[[intents]]") > 40


def of_the_car(checkpoint: Path, examples: list[data.Example]) -> dict[str, float]:
    """What a checkpoint makes of sentences of the car."""
    model, state = load(checkpoint)
    found = scoring.logits(model, Lookup(state["vocabulary"]), examples, torch.device("cpu"))
    intents, tags = state["intents"]["car"], state["tags"]["car"]
    return scoring.figures(found, examples, intents, tags, scoring.steps(model, "car", tags))


def test_a_small_corpus_is_learnt_by_heart_measured_and_exported(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    lexicon = small / "lexicon"
    lexicon.write_text("open\tOW P AH N\n", encoding="utf-8")
    options = f"--packs {small} --samples {small} --everyday {small}/everyday.tsv --lexicon {lexicon}"
    sizes = "--minutes 5 --steps 220 --batch 40 --dim 64 --layers 2 --rate 4e-3 --device cpu"
    monkeypatch.setattr(sys, "argv", ["train", *f"{options} --out {small}/run {sizes}".split()])
    train.main()
    best = small / "run" / "best.pt"
    monkeypatch.setattr(
        sys,
        "argv",
        ["evaluate", *options.split(), "--checkpoint", str(best), "--calibrate", "--json", str(small / "figures.json")],
    )
    evaluate.main()
    model, state = load(best)
    examples = corpus(small).of("train", "car")
    figures = of_the_car(best, examples)
    assert figures["intent"] == 1.0 and figures["slot_f1"] == 1.0
    assert json.loads((small / "figures.json").read_text(encoding="utf-8"))["calibration"]["car"]["slope"] > 0
    taught = f"--out {small}/taught {sizes} --teachers {best} {best} --lesson 400".replace("--steps 220", "--steps 120")
    monkeypatch.setattr(sys, "argv", ["train", *options.split(), *taught.split()])
    train.main()
    assert of_the_car(small / "taught" / "best.pt", examples)["intent"] == 1
    further = f"--out {small}/further {sizes} --begin {small}/taught/best.pt --int8".replace(
        "--steps 220", "--steps 20"
    )
    monkeypatch.setattr(sys, "argv", ["train", *options.split(), *further.split()])
    train.main()
    assert of_the_car(small / "further" / "best.pt", examples)["intent"] == 1
    planned = f"--out {small}/planned {sizes} --row 32 --quantise int4 --teachers {best} --lesson 400"
    monkeypatch.setattr(sys, "argv", ["train", *options.split(), *planned.split()])
    train.main()
    assert load(small / "planned" / "best.pt")[0].encoder.config.row == 32
    assert of_the_car(small / "planned" / "best.pt", examples)["intent"] >= 0.9
    write(small / "bundle", model, state)
    text = manifest(small / "bundle", "0.0.1")
    assert 'car = "head-car.safetensors"' in text and text.count(' = "') > 10
