"""Makes the small bundle `encoder/` that the tests of `vocar_nlu::encoder` read: a network that learnt two intents, and
what PyTorch makes of some sentences. Run from the root of the repository: `python -m nlu.testdata.make_encoder`."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch.nn import functional

from training.nlu import export
from training.nlu.data import bio
from training.nlu.model import Config, Encoder, Lookup, Understanding, saved

FOLDER = Path(__file__).parent / "encoder"
INTENTS = ["none", "fan.set", "window.open"]
TAGS = ["O", "B-level", "I-level", "B-zone", "I-zone"]
LEVELS = ["one", "two", "three", "twenty two", "nine"]
ZONES = ["left", "right", "rear left", "driver"]
SENTENCES = [
    *((f"give me fan speed {level} please", "fan.set", [("level", level)]) for level in LEVELS),
    *((f"blow at {level} now", "fan.set", [("level", level)]) for level in LEVELS),
    *((f"let the {zone} window down", "window.open", [("zone", zone)]) for zone in ZONES),
    *((f"i need air on the {zone} side", "window.open", [("zone", zone)]) for zone in ZONES),
    *((text, "none", []) for text in ("roll the dice", "who is the king", "why is the sky blue", "book two seats")),
]


def tagged(sentence: str, slots: list[tuple[str, str]]) -> list[int]:
    words = sentence.split()
    spans = []
    for name, value in slots:
        part = value.split()
        at = next(at for at in range(len(words)) if words[at : at + len(part)] == part)
        spans.append((name, at, at + len(part)))
    return [TAGS.index(tag) for tag in bio(len(words), spans)]


def main() -> None:
    torch.manual_seed(1)
    rng = random.Random(1)
    vocabulary = sorted({word for text, _, _ in SENTENCES for word in text.split()})
    config = Config(vocabulary=len(vocabulary), row=8, dim=32, heads=2, layers=1, expansion=2, dropout=0.0)
    model = Understanding(Encoder(config), config.dim, {"car": (len(INTENTS), len(TAGS))})
    lookup, device = Lookup(vocabulary), torch.device("cpu")
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(400):
        batch = rng.sample(SENTENCES, 12)
        sentence, states = model.encoder(*lookup.batch([text.split() for text, _, _ in batch], device))
        head = model.heads["car"]
        loss = functional.cross_entropy(
            head.intents(sentence), torch.tensor([INTENTS.index(intent) for _, intent, _ in batch])
        )
        for row, (text, _, slots) in enumerate(batch):
            tags = head.tags(states[row, : len(text.split())])
            loss = loss + functional.cross_entropy(tags, torch.tensor(tagged(text, slots))) / len(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    # As coarse as the bundle keeps them, so that both sides may be compared closely.
    for table in (model.encoder.words, model.encoder.grams):
        values, scales = export.quantised(table.weight)
        table.weight.data = torch.tensor(values) * torch.tensor(scales)[:, None]
    export.DOMAINS = ("car",)
    calibration = {"car": {"slope": 0.9, "offset": -0.2, "threshold": 0.5}}
    state = {"vocabulary": vocabulary, "intents": {"car": INTENTS}, "tags": {"car": TAGS}, "calibration": calibration}
    export.write(FOLDER, model, state | saved(model))
    (FOLDER / "manifest.toml").write_text(export.manifest(FOLDER, "0.0.1"), encoding="utf-8")

    tried = ["let the rear left window down", "could you blow at twenty two", "the king of the dice", "windows driver"]
    lines = ["text\tintent probabilities as the network gives them\ttags"]
    for text in tried:
        with torch.no_grad():
            sentence, states = model.encoder(*lookup.batch([text.split()], device))
        shares = model.heads["car"].intents(sentence[0]).softmax(0).tolist()
        tags = [TAGS[number] for number in model.heads["car"].tags(states[0]).argmax(1).tolist()]
        lines.append(f"{text}\t{' '.join(f'{share:.5f}' for share in shares)}\t{' '.join(tags)}")
    FOLDER.with_name("encoder-expected.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
