"""Trains encoder and heads on everything at once, on a GPU or the CPU.

    python -m training.nlu.train --pretrain 3 --texts data/ngram/text/*.txt --minutes 8 --batch 192

With `--pretrain` the encoder first guesses hidden words of the training sentences and of `--texts`; then intents and
slots are learnt, from the labels and, with `--teachers`, from what other networks make of the same sentences. `last.pt`
in the output folder goes on where it stopped with `--resume`; `best.pt` is the average of weights that was best on the
development sentences.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.nlu import chain, data, pretrain, scoring, teachers
from training.nlu.data import DOMAINS, NONE, Corpus, Example
from training.nlu.model import Config, Encoder, Lookup, Understanding, load, saved
from training.nlu.noise import Noise, sound_alikes
from training.nlu.rounded import round_layers
from training.nlu.text import MOST_WORDS
from training.nlu.values import Values

ROOT = Path(__file__).resolve().parents[2]
#: How much of a batch comes from each domain.
SHARES = {"sonos": 0.2, "nlueval": 0.24, "clinc": 0.24, "car": 0.32}
#: Weight of a word's tag against a sentence's intent: slots are learnt more slowly.
SLOTS = 1.5
#: Domains whose commands may be wrapped in politeness; what is no command is left as it is.
POLITE = {"car"}


def vocabulary(corpus: Corpus, most: int) -> list[str]:
    """The words with rows of their own: those of the car first, then by how many sentences have them."""
    count: Counter[str] = Counter()
    for example in corpus.examples["train"]:
        count.update(set(example.words))
    frequent = [word for word, times in count.most_common() if times > 1]
    return sorted(frequent[:most])


def withheld(path: Path | None) -> frozenset[str]:
    """Intents named in a file, one a line."""
    return frozenset(path.read_text(encoding="utf-8").split()) if path else frozenset()


class Trainer:
    """Model, average and data."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device = torch.device(args.device)
        self.rng = random.Random(args.seed)
        torch.manual_seed(args.seed)
        self.corpus = data.corpus(
            args.packs, data.samples(args.samples), args.everyday, withheld(args.withhold), args.heard
        )
        self.train = {domain: self.corpus.of("train", domain) for domain in DOMAINS}
        self.weights = {domain: np.cumsum([e.weight for e in self.train[domain]]) for domain in DOMAINS}
        self.noise = Noise(sound_alikes(args.lexicon))
        self.values = Values.of(self.corpus.examples["train"], args.names)
        self.labels = {d: (len(self.corpus.intents[d]), len(self.corpus.tags[d])) for d in DOMAINS}
        self.number = {d: {i: n for n, i in enumerate(self.corpus.intents[d])} for d in DOMAINS}
        self.tag_number = {d: {t: n for n, t in enumerate(self.corpus.tags[d])} for d in DOMAINS}
        self.model, self.lookup = self._network()
        self.model.to(self.device)
        self.allowed = {
            d: torch.tensor(scoring.allowed(t), device=self.device).clamp(min=chain.NEVER)
            for d, t in self.corpus.tags.items()
        }
        self.lessons = {d: self._lesson(d) for d in SHARES} if args.teachers else {}
        shipped = self.model.parameters_shipped() / 1e6
        print(f"{shipped:.2f} M parameters, { ({d: len(self.train[d]) for d in DOMAINS}) }", flush=True)
        if args.int8 or args.quantise:
            round_layers(self.model.encoder, args.quantise)
        self.average = copy.deepcopy(self.model).eval()
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.02)
        self.step, self.spent, self.best = 0, 0.0, 0.0
        self.drawn: list[list[Example]] = []

    def _network(self) -> tuple[Understanding, Lookup]:
        """The network before it learns, and what makes its inputs of words."""
        args = self.args
        if args.begin:
            model, state = load(args.begin)
            if state["intents"] != self.corpus.intents or state["tags"] != self.corpus.tags:
                raise SystemExit(f"{args.begin} was trained for other intents or slots: begin without --begin")
            return model, Lookup(state["vocabulary"])
        words = vocabulary(self.corpus, args.vocabulary)
        config = Config(
            vocabulary=len(words),
            row=args.row,
            dim=args.dim,
            layers=args.layers,
            heads=args.dim // 32,
            dropout=args.dropout,
        )
        model, lookup = Understanding(Encoder(config), config.dim, self.labels), Lookup(words)
        if args.pretrain > 0 and not args.resume:
            self._pretrain(model, lookup)
        return model, lookup

    def _pretrain(self, model: Understanding, lookup: Lookup) -> None:
        """Words from text: the training sentences of all domains, and of `--texts`."""
        measured = {e.key for split in ("dev", "test") for e in self.corpus.examples[split]}
        measured |= self.corpus.withheld
        sentences = [e.words for e in self.corpus.examples["train"] if len(e.words) > 1 and e.key not in measured]
        model.encoder.to(self.device)
        sentences += pretrain.read_texts(self.args.texts, measured)
        print(f"pretraining on {len(sentences)} sentences", flush=True)
        a = self.args
        mean = pretrain.pretrain(model.encoder, lookup, sentences, a.pretrain, a.pretrain_rate, a.batch, a.seed)
        print(f"pretrained: {mean:.3f} nats a hidden word", flush=True)

    def _disturbed(self, example: Example) -> Example:
        """A sentence as it may arrive, with luck with other values."""
        e = self.values(example, self.rng)
        words, tags = self.noise(e.words, e.tags, self.rng, e.domain in POLITE and e.intent != NONE)
        return Example(e.domain, words, e.intent, tags, e.split)

    def _lesson(self, domain: str) -> teachers.Lesson:
        """Disturbed sentences of a domain with the teachers' answers, from now on those that are drawn."""

        def one() -> Example:
            at = np.searchsorted(self.weights[domain], self.rng.random() * self.weights[domain][-1], side="right")
            return self._disturbed(self.train[domain][int(at)])

        count = round(self.args.lesson * SHARES[domain])
        found = teachers.lesson(self.args.teachers, self.corpus, domain, one, count, self.device)
        self.train[domain], self.weights[domain] = found.sentences, np.arange(1.0, count + 1)
        return found

    def draw(self, size: int) -> list[Example]:
        """A batch of examples of like length; over some batches each domain has its share."""
        if not self.drawn:
            pool: list[Example] = []
            for domain, share in SHARES.items():
                cumulated = self.weights[domain]
                points = [self.rng.random() * cumulated[-1] for _ in range(round(16 * size * share))]
                pool += [self.train[domain][int(at)] for at in np.searchsorted(cumulated, points, side="right")]
            self.rng.shuffle(pool)
            pool.sort(key=lambda example: len(example.words))
            self.drawn = [pool[at : at + size] for at in range(0, len(pool), size)]
            self.rng.shuffle(self.drawn)
        return self.drawn.pop()

    def loss(self, batch: list[Example]) -> tuple[Tensor, dict[str, float]]:
        """The sum of all losses, and each."""
        batch = batch if self.lessons else [self._disturbed(example) for example in batch]
        sentences = [example.words for example in batch]
        sentence, states = self.model.encoder(*self.lookup.batch(sentences, self.device))
        lengths = torch.tensor([min(len(words), MOST_WORDS) for words in sentences], device=self.device)
        total = torch.zeros((), device=self.device)
        parts: dict[str, float] = {}
        for domain in SHARES:
            rows = [at for at, e in enumerate(batch) if e.domain == domain]
            if not rows:
                continue
            head, share = self.model.heads[domain], len(rows) / len(batch)
            scores, tags = head.intents(sentence[rows]).float(), head.tags(states[rows]).float()
            wanted = torch.tensor([self.number[domain][batch[at].intent] for at in rows], device=self.device)
            loss = functional.cross_entropy(scores, wanted, label_smoothing=0.05)
            if domain in ("clinc", "car"):
                loss = loss + self.args.mixed * self._mixed(head, sentence[rows], wanted)
            slots = SLOTS * self._slot_loss(domain, tags, lengths[rows], [batch[at].tags for at in rows])
            total = total + share * self.args.hard * (loss + slots)
            if self.lessons:
                places = [batch[at].row for at in rows]
                soft = teachers.loss(scores, tags, self.lessons[domain], places, lengths[rows], SLOTS)
                total = total + share * soft
            parts[domain] = float(loss.detach() + slots.detach())
        return total, parts

    def _mixed(self, head: torch.nn.Module, sentence: Tensor, wanted: Tensor) -> Tensor:
        """Between two intents lies none: halves of two sentences' states stand for what is out of scope."""
        other = torch.randperm(len(sentence), device=sentence.device)
        part = torch.empty(len(sentence), 1, device=sentence.device).uniform_(0.4, 0.6)
        scores = head.intents(part * sentence + (1 - part) * sentence[other]).float()
        differ = (wanted != wanted[other]).float()
        return (functional.cross_entropy(scores, torch.zeros_like(wanted), reduction="none") * differ).mean()

    def _slot_loss(self, domain: str, scores: Tensor, lengths: Tensor, tags: list[list[str] | None]) -> Tensor:
        """Negative log-likelihood of the tags, a word, of those sentences whose slots somebody has marked."""
        rows = [row for row, said in enumerate(tags) if said is not None]
        number, scores, lengths = self.tag_number[domain], scores[rows], lengths[rows]
        if not rows or len(number) < 2:
            return scores.sum() * 0.0
        wanted = torch.zeros(scores.shape[:2], dtype=torch.long)
        for row, said in enumerate(tags[row] for row in rows):
            wanted[row, : len(said)] = torch.tensor([number[tag] for tag in said[: scores.shape[1]]])
        steps = self.model.heads[domain].steps + self.allowed[domain]
        return chain.loss(scores, steps, lengths, wanted.to(scores.device)).sum() / lengths.sum()

    def run(self) -> None:
        """Trains for the given minutes or steps, measures on the way, keeps the best."""
        steps = self.args.steps or math.inf
        limit, began, shown = 60 * self.args.minutes, time.monotonic(), time.monotonic()
        before, looked = self.spent, self.spent
        while self.spent < limit and self.step < steps:
            part = max(self.spent / limit, self.step / steps)
            rate = self.args.rate * min(1, (self.step + 1) / 300) * (0.5 + 0.5 * math.cos(math.pi * part))
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            self.model.train()
            with torch.autocast(self.device.type, torch.bfloat16):
                total, parts = self.loss(self.draw(self.args.batch))
            self.optimiser.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.step += 1
            with torch.no_grad():
                keep = min(0.999, self.step / (self.step + 50))
                torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
            self.spent = before + time.monotonic() - began
            if time.monotonic() - shown > 30:
                shown = time.monotonic()
                losses = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
                print(f"{self.spent / 60:5.1f} min, step {self.step}: {losses}", flush=True)
            if self.spent - looked > max(limit / 8, 60):
                looked = self.spent
                self.look()
        self.look()

    def look(self) -> None:
        """Measures the average on the development sentences and saves it if it is the best so far."""
        found = {}
        for domain in DOMAINS:
            examples = self.corpus.of("dev", domain)
            examples = examples[:: max(1, len(examples) // 1500)]
            if not examples:
                continue
            scores = scoring.logits(self.average, self.lookup, examples, self.device)
            intents, tags = self.corpus.intents[domain], self.corpus.tags[domain]
            steps = scoring.steps(self.average, domain, tags)
            found[domain] = scoring.figures(scores, examples, intents, tags, steps)
        value = float(np.mean([f["intent"] + 0.5 * f.get("slot_f1", f["intent"]) for f in found.values()]))
        print(f"step {self.step}: {value:.4f} " + json.dumps(found), flush=True)
        state = self._state(found)
        if value > self.best:
            self.best = value
            torch.save({**state, **saved(self.average)}, self.args.out / "best.pt")
        last = {"optimiser": self.optimiser.state_dict(), "average": self.average.state_dict(), "step": self.step}
        last |= {"spent": self.spent, "best": self.best}
        torch.save({**state, **saved(self.model), **last}, self.args.out / "last.pt")

    def _state(self, found: dict) -> dict:
        return {
            "vocabulary": self.lookup.vocabulary,
            "intents": self.corpus.intents,
            "tags": self.corpus.tags,
            "dev": found,
        }

    def resume(self) -> None:
        """Goes on from `last.pt`."""
        state = torch.load(self.args.out / "last.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["weights"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.spent, self.best = state["step"], state["spent"], state["best"]


def options(description: str) -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--packs", type=Path, default=ROOT.parent / "shared" / "nlu")
    parser.add_argument("--samples", type=Path, default=Path("data/nlu"), help="from training.nlu.car_domain")
    parser.add_argument("--everyday", type=Path, default=ROOT / "tests" / "benchmarks" / "car-everyday.tsv")
    parser.add_argument("--lexicon", type=Path, default=ROOT / "models" / "speech-en" / "lexicon.txt")
    parser.add_argument("--names", type=Path, help="from training.nlu.names: more values for slots")
    parser.add_argument("--withhold", type=Path, help="intents of CLINC that are not learnt, one a line")
    parser.add_argument(
        "--heard", type=Path, nargs="*", default=[], help="from training.nlu.heard: what sentences were heard as"
    )
    parser.add_argument("--begin", type=Path, help="a checkpoint to go on from, with its words and sizes")
    rounding = parser.add_mutually_exclusive_group()
    rounding.add_argument("--int8", action="store_true", help="round layers as the shipped network does")
    rounding.add_argument(
        "--quantise", metavar="PLAN", help="round as this plan of vocar-compress says; int8 or int4 for every layer"
    )
    parser.add_argument("--teachers", type=Path, nargs="*", default=[], help="checkpoints to learn from besides")
    parser.add_argument("--lesson", type=int, default=300_000, help="sentences that the teachers are asked about")
    parser.add_argument("--hard", type=float, default=1.0, help="weight of the labels against the teachers")
    parser.add_argument("--pretrain", type=float, default=0.0, help="minutes of guessing hidden words first")
    parser.add_argument("--pretrain-rate", type=float, default=1.5e-3)
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="sentences for that, one a line")
    parser.add_argument("--out", type=Path, default=Path("data/nlu/run"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--steps", type=int, help="end after so many steps if that is sooner")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--vocabulary", type=int, default=9000)
    parser.add_argument("--row", type=int, default=96, help="width of the rows of words")
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--mixed", type=float, default=0.1, help="weight of what lies between intents")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def main() -> None:
    args = options(__doc__.partition("\n")[0]).parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(args)
    if args.resume:
        trainer.resume()
    trainer.run()


if __name__ == "__main__":
    main()
