"""Tunes the teacher on the same intents and slots, and writes down what it thinks of every training sentence.

    python -m training.nlu.teach --minilm FOLDER --minutes 3 --out data/nlu/teacher     # then
    python -m training.nlu.train --minilm FOLDER --tuned data/nlu/teacher/opinions.pt --minutes 6

Minutes are of a GPU; a CPU needs some hours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.nlu import minilm, scoring
from training.nlu.data import DOMAINS
from training.nlu.model import Understanding
from training.nlu.train import Trainer, options


class Reader(nn.Module):
    """The teacher as an encoder: the mean of its states for the sentence, that of its first piece for a word."""

    def __init__(self, network: minilm.MiniLm) -> None:
        super().__init__()
        self.network = network

    def forward(self, pieces: Tensor, real: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        states = self.network(pieces, real)
        weight = real[..., None].to(states.dtype)
        mean = (states * weight).sum(1) / weight.sum(1)
        return mean, states.gather(1, starts[..., None].expand(-1, -1, states.shape[-1]))


class Pieces:
    """Makes the teacher's inputs of words."""

    def __init__(self, pieces: minilm.WordPieces) -> None:
        self.pieces = pieces
        self.vocabulary: list[str] = []

    def batch(self, sentences: list[list[str]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """The arguments of `Reader`."""
        return tuple(part.to(device) for part in self.pieces.batch([words[:32] for words in sentences]))


class TeacherTrainer(Trainer):
    """Trains the teacher as the encoder is trained, without a teacher of its own."""

    def _network(self) -> tuple[Understanding, Pieces]:
        network, pieces = minilm.load(self.args.minilm)
        return Understanding(Reader(network), minilm.WIDTH, self.labels), Pieces(pieces)

    def opinions(self) -> dict[str, dict[str, tuple[Tensor, Tensor]]]:
        """Logits of intents and tags for every training sentence, by domain and sentence."""
        found = {}
        for domain in DOMAINS:
            examples = list({example.key: example for example in self.train[domain]}.values())
            scores = scoring.logits(self.average, self.lookup, examples, self.device)
            pairs = zip(examples, scores, strict=True)
            found[domain] = {example.key: (intents.half(), tags.half()) for example, (intents, tags) in pairs}
        return found


def main() -> None:
    parser = options(__doc__.partition("\n")[0])
    parser.set_defaults(rate=1.5e-4, batch=64, minutes=3)
    args = parser.parse_args()
    if args.minilm is None:
        raise SystemExit("--minilm FOLDER: where the teacher's model.safetensors and tokenizer.json lie")
    args.out.mkdir(parents=True, exist_ok=True)
    trainer = TeacherTrainer(args)
    trainer.run()
    labels = {"intents": trainer.corpus.intents, "tags": trainer.corpus.tags}
    torch.save({**labels, "opinions": trainer.opinions()}, args.out / "opinions.pt")


if __name__ == "__main__":
    main()
