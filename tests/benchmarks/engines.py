#!/usr/bin/env python3
"""Times one step of the shipped speech network in each precision with our engine, stock tract and ONNX Runtime.

    python3 tests/benchmarks/engines.py WORK [--core 0] [--rounds 4] [--out tests/benchmarks/engines.json] [--table]

WORK: a scratch folder, where `vocar-compress` writes the f16, int8, mixed and int4 networks from the f32 one; its `bench` times
them, every engine in a process of its own on one thread of one core. Of the rounds the least of each figure counts, since other
work on the machine only ever adds to it. Ratios say more than milliseconds. ONNX Runtime is the library at `ORT_DYLIB_PATH`, or
that of the Python package `onnxruntime`; without either its rows are left out. `--table` prints the table that was kept.
"""

import argparse
import importlib.util
import json
import os
import subprocess
from pathlib import Path

from run import HERE, ROOT, keep

STEPS = 300
PLAN = ROOT / "compress/plans/speech-en.toml"
TOOL = ROOT / "target/release/vocar-compress"
OURS, STOCK, RUNTIME = "ours", "stock-tract", "onnx-runtime"


def find_runtime():
    """Points `vocar-compress` to the library of the Python package, if there is one and no other is named."""
    package = importlib.util.find_spec("onnxruntime")
    if package and "ORT_DYLIB_PATH" not in os.environ:
        found = sorted(Path(package.submodule_search_locations[0]).glob("capi/libonnxruntime.so*"))
        if found:
            os.environ["ORT_DYLIB_PATH"] = str(found[0])


def networks(folder):
    """The shipped network in each precision, by name."""
    floats = ROOT / "models/speech-en/am-f32.onnx"
    how = {name: ["--bits", bits, "--halve-the-rest"] for name, bits in (("f16", "16"), ("int8", "8"), ("int4", "4"))}
    how |= {"mixed": ["--plan", PLAN]}
    made = {"f32": floats}
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("f16", "int8", "mixed", "int4"):
        made[name] = folder / f"{name}.onnx"
        subprocess.run([TOOL, "quantise", floats, made[name], *how[name]], check=True)
    return made


def bench(paths, scratch):
    """What one round of `vocar-compress bench` found."""
    command = [TOOL, "bench", *paths, "--steps", str(STEPS), "--json", scratch]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads(scratch.read_text(encoding="utf-8"))


def measure(work, rounds):
    """The least of each figure, and what the machine is."""
    made = networks(work / "engines")
    by_file = {path.name: name for name, path in made.items()}
    result = {name: {"bytes": path.stat().st_size} for name, path in made.items()}
    for _ in range(rounds):
        found = bench(made.values(), work / "engines/round.json")
        for row in found["rows"]:
            own = result[by_file[row["network"]]]
            best = own.setdefault(row["engine"], {"median_ms": row["median_ms"], "peak_mb": row["peak_bytes"] / 1e6})
            best["median_ms"] = round(min(best["median_ms"], row["median_ms"]), 4)
            best["peak_mb"] = round(min(best["peak_mb"], row["peak_bytes"] / 1e6), 1)
            own["floor_ms"] = round(min(own.get("floor_ms", row["floor_ms"]), row["floor_ms"]), 4)
    base = result["f32"][STOCK]["median_ms"]
    for row in result.values():
        for engine in (OURS, STOCK, RUNTIME):
            if engine in row:
                row[engine]["times_faster_than_stock_f32"] = round(base / row[engine]["median_ms"], 2)
    return {"kernels": found["kernels"], "steps": STEPS, "rounds": rounds, "networks": result}


def table(result):
    """The table of the README."""
    print(
        "| weights | file | ours | ONNX Runtime | stock tract | ours against stock f32 | bytes read from memory | memory, ours |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, row in result["networks"].items():
        times = [f"{row[e]['median_ms']:.3f} ms" if e in row else "–" for e in (OURS, RUNTIME, STOCK)]
        print(
            f"| {name} | {row['bytes'] / 1e6:.2f} MB | **{times[0]}** | {times[1]} | {times[2]} "
            f"| {row[OURS]['times_faster_than_stock_f32']} times as fast | {row['floor_ms']:.3f} ms "
            f"| {row[OURS]['peak_mb']:.0f} MB |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=HERE / "engines.json")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()

    if args.table:
        table(json.loads(args.out.read_text(encoding="utf-8"))["result"])
        return
    build = ["cargo", "build", "-q", "--release", "--workspace", "--bin", "vocar-compress"]
    subprocess.run(build, check=True, cwd=ROOT)
    find_runtime()
    os.sched_setaffinity(0, {args.core})
    result = measure(args.work.resolve(), args.rounds)
    keep(args.out.resolve(), "python3 tests/benchmarks/engines.py WORK", result)
    table(result)


if __name__ == "__main__":
    main()
