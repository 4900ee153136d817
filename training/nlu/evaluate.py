"""Calibrates a checkpoint on the development sentences, and measures it.

    python -m training.nlu.evaluate --checkpoint data/nlu/run/best.pt --calibrate      # writes into the checkpoint
    python -m training.nlu.evaluate --checkpoint data/nlu/run/best.pt --split test --json nlu.json
    python -m training.nlu.evaluate --checkpoint data/nlu/run/best.pt --bundle models/nlu-en   # the run time besides

How sure an intent is: 1 / (1 + exp(-(slope * x + offset))), x the log-odds of the likeliest intent that is in scope.
A sentence below `threshold` is taken as out of scope. It is the lowest at which at least `RECALL` of the development
sentences that are out of scope are found, and never below `LEAST`: what is likelier wrong than right is not acted on.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.nlu import data, scoring
from training.nlu.data import DOMAINS, NONE, Example
from training.nlu.model import Lookup, load
from training.nlu.noise import Noise, sound_alikes
from training.nlu.rounded import round_layers
from training.nlu.train import ROOT, withheld

#: How much of what is out of scope is to be found on the development sentences.
RECALL = 0.84
#: No threshold is lower.
LEAST = 0.5


def odds(intents: Tensor) -> Tensor:
    """Log-odds of the likeliest intent in scope, [sentences] from logits [sentences, intents]."""
    share = intents.softmax(1)[:, 1:].max(1).values.clamp(1e-7, 1 - 1e-7)
    return (share / (1 - share)).log()


def fitted(x: Tensor, right: Tensor) -> tuple[float, float]:
    """Slope and offset of the curve, by maximum likelihood with a little weight on the middle."""
    curve = torch.tensor([1.0, 0.0], requires_grad=True)
    optimiser = torch.optim.LBFGS([curve], max_iter=100)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(curve[0] * x + curve[1], right) + 1e-4 * (curve**2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    slope, offset = curve.detach().tolist()
    return round(slope, 4), round(offset, 4)


def disturbed(examples: list[Example], noise: Noise) -> list[Example]:
    """The sentences as a recogniser may give them; the same each time."""
    rng, found = random.Random(5), []
    for example in examples:
        words, tags = noise(example.words, example.tags, rng, False)
        found.append(Example(example.domain, words, example.intent, tags, example.split))
    return found


def of_bundle(bundle: Path, domain: str, examples: list[Example]) -> dict[str, float]:
    """What the run time makes of sentences with a bundle. Here an intent counts only if it passes the threshold."""
    reader = ROOT / "target" / "release" / "examples" / "read_pack"
    if not reader.exists():
        raise SystemExit(f"{reader} is not there: cargo build --release --workspace --example read_pack")
    text = "".join(" ".join(example.words) + "\n" for example in examples)
    done = subprocess.run([reader, bundle, domain], input=text, stdout=subprocess.PIPE, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    inside = right = both = refused = true = guessed = hit = 0
    for example, reading in zip(examples, found, strict=True):
        if example.intent == NONE:
            refused += reading["intent"] is None
            continue
        inside += 1
        named = reading["intent"] == example.intent
        right += named
        if example.tags is not None:
            wanted, got = set(data.spans(example.tags)), {tuple(span) for span in reading["spans"]}
            true, guessed, hit = true + len(wanted), guessed + len(got), hit + len(wanted & got)
            both += named and wanted == got
    out = {"accepted_right": right / max(1, inside)}
    if true:
        out |= {"slot_f1": 2 * hit / (true + guessed), "accepted_right_with_slots": both / max(1, inside)}
    if inside < len(examples):
        out["out_of_scope_recall"] = refused / (len(examples) - inside)
    return {name: round(value, 4) for name, value in out.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packs", type=Path, default=ROOT.parent / "shared" / "nlu")
    parser.add_argument("--samples", type=Path, default=Path("data/nlu"))
    parser.add_argument("--everyday", type=Path, default=ROOT / "tests" / "benchmarks" / "car-everyday.tsv")
    parser.add_argument("--lexicon", type=Path, default=ROOT / "models" / "speech-en" / "lexicon.txt")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--withhold", type=Path, help="as for training")
    parser.add_argument("--quantise", metavar="PLAN", help="as for training: evaluate the network in low precision")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--bundle", type=Path, help="also measure this bundle as the run time reads it")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--wrong", action="store_true", help="print every sentence whose intent is wrong")
    args = parser.parse_args()

    model, state = load(args.checkpoint)
    if args.quantise:
        round_layers(model.encoder, args.quantise)
    lookup = Lookup(state["vocabulary"])
    corpus = data.corpus(args.packs, data.samples(args.samples), args.everyday, withheld(args.withhold))
    cpu, noise = torch.device("cpu"), Noise(sound_alikes(args.lexicon), untouched=0.0)
    calibration, found = state.get("calibration", {}), {}
    for domain in DOMAINS:
        intents, tags = state["intents"][domain], state["tags"][domain]
        if not corpus.of("dev" if args.calibrate else args.split, domain):
            continue
        if args.calibrate:
            examples = corpus.of("dev", domain)
            examples += disturbed(examples, noise)
            scores = torch.stack([scores for scores, _ in scoring.logits(model, lookup, examples, cpu)])
            likeliest = (scores[:, 1:].argmax(1) + 1).tolist()
            right = torch.tensor([float(intents[n] == e.intent) for n, e in zip(likeliest, examples, strict=True)])
            slope, offset = fitted(odds(scores), right)
            outside = torch.tensor([example.intent == NONE for example in examples])
            chance = (slope * odds(scores) + offset).sigmoid()
            threshold = max(LEAST, float(np.quantile(chance[outside], RECALL)) if outside.any() else 0.0)
            calibration[domain] = {"slope": slope, "offset": offset, "threshold": round(threshold, 4)}
        examples = corpus.of(args.split, domain)
        scores = scoring.logits(model, lookup, examples, cpu)
        curve = calibration.get(domain)
        steps = scoring.steps(model, domain, tags)
        found[domain] = scoring.figures(scores, examples, intents, tags, steps)
        if curve and any(example.intent == NONE for example in examples):
            stacked = torch.stack([intent for intent, _ in scores])
            chance = (curve["slope"] * odds(stacked) + curve["offset"]).sigmoid().numpy()
            found[domain] |= scoring.scoped(stacked, chance, curve["threshold"], examples, intents)
        if args.bundle:
            found[domain]["bundle"] = of_bundle(args.bundle, domain, examples)
        if args.split == "dev":
            noisy = disturbed(examples, noise)
            figures = scoring.figures(scoring.logits(model, lookup, noisy, cpu), noisy, intents, tags, steps)
            found[domain] |= {f"disturbed_{name}": figures[name] for name in ("intent", "slot_f1") if name in figures}
        if args.wrong:
            for (scored, _), example in zip(scores, examples, strict=True):
                best = intents[int(scored[1:].argmax()) + 1]
                if best != example.intent and example.intent != NONE:
                    print(f"{domain}\t{example.key}\t{example.intent}\t{best}")
    if args.calibrate:
        torch.save(state | {"calibration": calibration}, args.checkpoint)
    out = {"command": shlex.join(["python", "-m", "training.nlu.evaluate", *sys.argv[1:]]), "split": args.split}
    out |= {"parameters": model.parameters_shipped(), "calibration": calibration, "domains": found}
    print(json.dumps(out, indent=1))
    if args.json:
        args.json.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
