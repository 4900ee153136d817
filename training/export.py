"""Step 4, export: a checkpoint becomes the bundle: streaming ONNX in f32, phone bigram, manifest.

The graph is run against PyTorch before anything is written. `vocar-compress quantise` adds a smaller network.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from training import features
from training.bundle import BUNDLE, hashes, write_phone_lm
from training.model import SUBSAMPLING, AcousticModel, Config, with_chunk
from training.onnx_graph import streaming
from training.units import read_phones

TOLERANCE = 2e-3


def load(path: Path) -> tuple[AcousticModel, dict]:
    """The averaged model of a checkpoint, and the checkpoint."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = AcousticModel(Config(**state["config"]))
    model.load_state_dict(state["average"])
    return model.eval(), state


@torch.no_grad()
def round_to_halves(model: AcousticModel) -> None:
    """Brings the weights of all matrices to the nearest half floats: nothing hears the difference, and a repository
    keeps such numbers in half the room."""
    for weight in model.parameters():
        if weight.dim() > 1:
            weight.copy_(weight.half())


class Stream:
    """Runs a streaming ONNX model chunk by chunk."""

    def __init__(self, model: bytes) -> None:
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.frames = self.session.get_inputs()[0].shape[1]

    def run(self, log_mel: np.ndarray) -> np.ndarray:
        """Log-mel [frames, mels], whole chunks, to log posteriors [frames / 3, columns]."""
        feeds = {i.name: np.zeros(i.shape, np.float32) for i in self.session.get_inputs()}
        columns = []
        for at in range(0, len(log_mel), self.frames):
            feeds["features"] = log_mel[None, at : at + self.frames]
            found = dict(zip(self.outputs, self.session.run(self.outputs, feeds), strict=True))
            columns.append(found["log_posteriors"][0])
            feeds.update({"state." + n.removeprefix("next."): v for n, v in found.items() if n.startswith("next.")})
        return np.concatenate(columns)


def check(model: AcousticModel, log_prior: torch.Tensor | None, f32: bytes) -> float:
    """Largest difference of the graph from PyTorch, on noise shaped like speech."""
    rng = np.random.default_rng(1)
    frames = 20 * model.config.chunk * SUBSAMPLING
    noise = rng.standard_normal((frames, model.config.mels)).astype(np.float32)
    log_mel = noise / model.scale.numpy() + model.mean.numpy()
    with torch.no_grad():
        wanted = model(model.normalise(torch.tensor(log_mel[None])))[0]
    wanted = (wanted if log_prior is None else wanted - log_prior).numpy()
    return float(np.abs(Stream(f32).run(log_mel) - wanted).max())


def confidence_of(bundle: Path) -> str:
    """The `[confidence]` values that the bundle has; without a manifest, an uncalibrated curve."""
    path = bundle / "manifest.toml"
    if not path.exists():
        return "slope = 1.0\noffset = 0.0"
    values = tomllib.loads(path.read_text(encoding="utf-8"))["confidence"]
    return "\n".join(f"{key} = {value}" for key, value in values.items())


def background_of(bundle: Path) -> str:
    """The `[background]` values: the phone bigram, and the word n-gram if there is one."""
    words = ['words = "words.ngram"'] if (bundle / "words.ngram").exists() else []
    return "\n".join(['phone_lm = "phone-lm.tsv"', *words])


def scout_of(bundle: Path) -> str:
    """The `[acoustic]` value of the small network that listens for wake phrases first, if the bundle has one."""
    return 'scout = "scout-int8.onnx"\n' if (bundle / "scout-int8.onnx").exists() else ""


def manifest(bundle: Path, config: Config, version: str) -> str:
    """The text of `manifest.toml`; hashes are taken from the files as they lie there."""
    return f"""format = 1
name = "speech-en"
version = "{version}"
language = "en"
licence = "Apache-2.0"

[features]
sample_rate = {features.SAMPLE_RATE}
window = {features.WINDOW}
hop = {features.HOP}
fft = {features.FFT}
mels = {features.MELS}
low_hz = {features.LOW_HZ}
high_hz = {features.HIGH_HZ}
floor = {features.FLOOR}

[acoustic]
subsampling = {SUBSAMPLING}
chunk = {config.chunk}
# Output frames by which the labels come after their sound.
delay = {config.delay}
topology = "begin-continue"
input = "features"
output = "log_posteriors"
state_prefix = "state."
next_prefix = "next."
{scout_of(bundle)}
[acoustic.models]
f32 = "am-f32.onnx"

[lexicon]
phones = "phones.txt"
words = "lexicon.txt"
g2p = "g2p.bin"

[background]
{background_of(bundle)}

# Fitted by training.calibrate on development recordings.
[confidence]
{confidence_of(bundle)}

[files]
{hashes(bundle)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--version", default="0.4.0")
    parser.add_argument("--prior-scale", type=float, default=0.6, help="used for models trained by cross-entropy alone")
    parser.add_argument("--halves", action="store_true", help="weights of matrices as half floats can hold them")
    parser.add_argument("--chunk", type=int, help="output frames of 30 ms in a step, if not as many as in training")
    args = parser.parse_args()

    model, state = load(args.checkpoint)
    if args.chunk:
        model = with_chunk(model, args.chunk)
    if args.halves:
        round_to_halves(model)
    prior = None if state["kind"] == "mmi" else args.prior_scale * state["log_prior"]
    graph = streaming(model, prior)
    f32 = graph.SerializeToString()
    exact = check(model, prior, f32)
    print(f"against PyTorch: at most {exact:.2e} apart")
    if exact > TOLERANCE:
        raise SystemExit(f"the ONNX graph differs from the trained model by {exact:.2e}, more than {TOLERANCE:.0e}")
    args.bundle.mkdir(parents=True, exist_ok=True)
    (args.bundle / "am-f32.onnx").write_bytes(f32)
    # It was made from the network before.
    (args.bundle / "am-mixed.onnx").unlink(missing_ok=True)
    write_phone_lm(args.bundle / "phone-lm.tsv", state["transitions"], read_phones(args.bundle / "phones.txt"))
    (args.bundle / "manifest.toml").write_text(manifest(args.bundle, model.config, args.version), encoding="utf-8")
    size = sum(f.stat().st_size for f in args.bundle.iterdir())
    print(f"bundle of {size / 1e6:.2f} MB in {args.bundle}")


if __name__ == "__main__":
    main()
