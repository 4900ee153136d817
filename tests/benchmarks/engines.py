#!/usr/bin/env python3
"""Times one step of networks in each precision with our engine, stock tract and ONNX Runtime: the shipped speech network, the
shipped network over the words of a sentence, and two of random weights: one in the shape of the speech network with half as long a
step, and one with 20 million weights, which no processor's nearest memories hold.

    python3 tests/benchmarks/engines.py WORK [--core 0] [--rounds 4] [--only NETWORK …] [--out tests/benchmarks/engines.json] [--table]

WORK: a scratch folder, where `vocar-compress` writes the f16, int8, mixed and int4 networks from the f32 one; its `bench` times
them, every engine in a process of its own on one thread of one core. Of the rounds the least of each figure counts, since other
work on the machine only ever adds to it. Ratios say more than milliseconds. ONNX Runtime is the library at `ORT_DYLIB_PATH`, or
that of the Python package `onnxruntime`; without either its rows are left out. `--python` names a Python with PyTorch, which makes
the networks of random weights by `training.synthetic`. `--table` prints the tables that were kept.

The mixed speech network is that of the shipped plan; in the others each second block is in int4 and all else in int8. The bundle
has its network over words in int8 alone; f32 is restored from it.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from run import HERE, ROOT, keep

TOOL = ROOT / "target/release/vocar-compress"
OURS, STOCK, RUNTIME, OURS_AVX2 = "ours", "stock-tract", "onnx-runtime", "ours-avx2"
PRECISIONS = ("f32", "f16", "int8", "mixed", "int4")
NETWORKS = {
    "speech": {"steps": 300, "arguments": [], "what": "speech-en, a step of 240 ms"},
    "words": {"steps": 300, "arguments": ["--size", "length=9"], "what": "nlu-en, a sentence of eight words"},
    "four-frames": {
        "steps": 300,
        "arguments": [],
        "what": "random weights in the shape of speech-en, a step of 120 ms",
    },
    "synthetic": {"steps": 60, "arguments": [], "what": "20 million random weights, a step of 120 ms"},
}
"""Runs of each that are timed, and what `bench` is told."""
SHAPES = {
    "four-frames": {"layers": 6, "dim": 160, "heads": 5, "expansion": 2, "chunk": 4, "context": 48},
    "synthetic": {"layers": 13},
}
"""What `training.synthetic` is told."""
CONFORMER = (
    *(f"{half}.{layer}" for half in ("first", "second") for layer in ("up", "down")),
    *("attention.qkv", "attention.out", "convolution.gate", "convolution.out"),
)
SHIPPED_PLANS = {"speech": "speech-en.toml", "words": "nlu-en.toml"}
"""Files in compress/plans by network."""

LAYERS = {name: (shape["layers"], CONFORMER, ("subsampling.project", "out")) for name, shape in SHAPES.items()}
"""Blocks, layers of a block and layers beside them, of networks without such a plan."""


def find_runtime():
    """Points `vocar-compress` to the library of the Python package, if there is one and no other is named."""
    package = importlib.util.find_spec("onnxruntime")
    if package and "ORT_DYLIB_PATH" not in os.environ:
        found = sorted(Path(package.submodule_search_locations[0]).glob("capi/libonnxruntime.so*"))
        if found:
            os.environ["ORT_DYLIB_PATH"] = str(found[0])


def run(*command):
    subprocess.run(command, check=True, cwd=ROOT)


def floats(name, folder, python):
    """The float network."""
    path = folder / "f32.onnx"
    if name == "speech":
        return ROOT / "models/speech-en-f32/am-f32.onnx"
    if name == "words":
        run(TOOL, "restore", ROOT / "models/nlu-en/encoder-mixed.onnx", path)
    else:
        shape = (part for name, value in SHAPES[name].items() for part in (f"--{name}", str(value)))
        run(python, "-m", "training.synthetic", path, *shape)
    return path


def plan(name, folder):
    """The plan of the mixed network: that of the shipped one, or each second block in int4."""
    if name in SHIPPED_PLANS:
        return ROOT / "compress/plans" / SHIPPED_PLANS[name]
    blocks, layers, beside = LAYERS[name]
    widths = {f"block{block}.{layer}": 4 + 4 * (block % 2) for block in range(blocks) for layer in layers}
    widths |= dict.fromkeys(beside, 8)
    lines = [f'"{layer}.product" = "int{bits}"' for layer, bits in widths.items()]
    path = folder / "plan.toml"
    text = "budget = 1.0\nmeasured = 0.0\nhalve_the_rest = true\n\n[layers]\n" + "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


def networks(name, folder, python):
    """A network in each precision, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {"f32": floats(name, folder, python)}
    how = {kind: ["--bits", bits, "--halve-the-rest"] for kind, bits in (("f16", "16"), ("int8", "8"), ("int4", "4"))}
    how |= {"mixed": ["--plan", plan(name, folder)]}
    for kind in PRECISIONS[1:]:
        made[kind] = folder / f"{kind}.onnx"
        run(TOOL, "quantise", made["f32"], made[kind], *how[kind])
    return made


def bench(paths, scratch, name, *arguments, **variables):
    """What one round of `vocar-compress bench` found."""
    steps, size = NETWORKS[name]["steps"], NETWORKS[name]["arguments"]
    command = [TOOL, "bench", *paths, "--steps", str(steps), *size, *arguments, "--json", scratch]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | variables)
    return json.loads(scratch.read_text(encoding="utf-8"))


def take(result, found, engine_of=lambda engine: engine):
    """Takes the least of each figure over."""
    for row in found["rows"]:
        own = result[Path(row["network"]).stem.removeprefix("am-")]
        best = own.setdefault(
            engine_of(row["engine"]), {"median_ms": row["median_ms"], "peak_mb": row["peak_bytes"] / 1e6}
        )
        best["median_ms"] = round(min(best["median_ms"], row["median_ms"]), 4)
        best["peak_mb"] = round(min(best["peak_mb"], row["peak_bytes"] / 1e6), 1)
        own["floor_ms"] = round(min(own.get("floor_ms", row["floor_ms"]), row["floor_ms"]), 4)


def measure(name, work, rounds, python):
    """The least of each figure of a network in all precisions, and the kernels that ran."""
    folder = work / "engines" / name
    made = networks(name, folder, python)
    result = {kind: {"bytes": path.stat().st_size} for kind, path in made.items()}
    scratch = folder / "round.json"
    for _ in range(rounds):
        found = bench(made.values(), scratch, name)
        take(result, found)
        if found["kernels"] not in ("avx2", "neon-dot", "portable"):
            older = bench(made.values(), scratch, name, "--ours-only", VOCAR_KERNELS="avx2")
            take(result, older, lambda _: OURS_AVX2)
    base = result["f32"][STOCK]["median_ms"]
    for row in result.values():
        for engine in (OURS, STOCK, RUNTIME, OURS_AVX2):
            if engine in row:
                row[engine]["times_faster_than_stock_f32"] = round(base / row[engine]["median_ms"], 2)
    return found["kernels"], {"steps": NETWORKS[name]["steps"], "precisions": result}


def table(result):
    """The tables of the README."""
    for name, network in result["networks"].items():
        rows = network["precisions"]
        print(f"\n{NETWORKS[name]['what']}:\n")
        print(
            "| weights | file | ours | ONNX Runtime | stock tract | ours against stock f32 | ours, AVX2 alone "
            "| bytes read from memory | memory, ours | memory, stock tract |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        for kind, row in rows.items():
            each = (OURS, RUNTIME, STOCK, OURS_AVX2)
            times = [f"{row[e]['median_ms']:.3f} ms" if e in row else "–" for e in each]
            stock = f"{row[STOCK]['peak_mb']:.0f} MB" if STOCK in row else "–"
            print(
                f"| {kind} | {row['bytes'] / 1e6:.2f} MB | **{times[0]}** | {times[1]} | {times[2]} "
                f"| {row[OURS]['times_faster_than_stock_f32']} times as fast | {times[3]} | {row['floor_ms']:.3f} ms "
                f"| {row[OURS]['peak_mb']:.0f} MB | {stock} |"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument(
        "--python", default=sys.executable, help="with PyTorch and onnx, for the networks of random weights"
    )
    parser.add_argument("--out", type=Path, default=HERE / "engines.json")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()

    if args.table:
        table(json.loads(args.out.read_text(encoding="utf-8"))["result"])
        return
    run("cargo", "build", "-q", "--release", "--workspace", "--bin", "vocar-compress")
    find_runtime()
    os.sched_setaffinity(0, {args.core})
    result = {"kernels": "", "rounds": args.rounds, "networks": {}}
    for name in args.only:
        result["kernels"], result["networks"][name] = measure(name, args.work.resolve(), args.rounds, args.python)
    keep(args.out.resolve(), "python3 tests/benchmarks/engines.py WORK", result)
    table(result)


if __name__ == "__main__":
    main()
