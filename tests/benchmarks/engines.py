#!/usr/bin/env python3
"""Times one step of the shipped speech network in each precision with our engine, stock tract and ONNX Runtime.

    python3 tests/benchmarks/engines.py WORK [--core 0] [--rounds 4] [--out tests/benchmarks/engines.json]

WORK: a scratch folder, where `vocar-compress` writes the f16, int8, mixed and int4 networks from the f32 one. Everything runs on one
thread of one core, in turns; of the rounds the least median counts, since other work on the machine only ever adds to it.
Ratios say more than milliseconds. ONNX Runtime is the Python package `onnxruntime`; without it its rows are left out.
"""

import argparse
import os
import statistics
import subprocess
import time
from pathlib import Path

from run import HERE, ROOT, keep

STEPS = 300
PLAN = ROOT / "compress/plans/speech-en.toml"


def runtime_ms(path):
    """Median step of ONNX Runtime, milliseconds; None where it is not installed."""
    try:
        import numpy as np
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    inputs = {i.name: rng.standard_normal(i.shape).astype(np.float32) for i in session.get_inputs()}
    # Bound once: neither inputs nor outputs are copied, as in a stream that hands its states on.
    bound = session.io_binding()
    for name, value in inputs.items():
        bound.bind_cpu_input(name, value)
    for output in session.get_outputs():
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(output.shape, np.float32)
        bound.bind_ortvalue_output(output.name, value)
    times = []
    for step in range(STEPS + STEPS // 10):
        begun = time.perf_counter()
        session.run_with_iobinding(bound)
        if step >= STEPS // 10:
            times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times)


def bench(tool, path, steps, *options):
    """Median steps by engine, milliseconds, the line about the machine, and the most memory that was held, MB."""
    command = [tool, "bench", path, "--steps", str(steps), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    first, *lines = done.stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {row[1]: float(row[2]) for row in rows}, first, float(rows[-1][6])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=HERE / "engines.json")
    args = parser.parse_args()

    subprocess.run(["cargo", "build", "-q", "--release", "-p", "vocar-compress"], check=True, cwd=ROOT)
    os.sched_setaffinity(0, {args.core})
    tool, floats = ROOT / "target/release/vocar-compress", ROOT / "models/speech-en/am-f32.onnx"
    folder = args.work / "engines"
    folder.mkdir(parents=True, exist_ok=True)
    networks = {"f32": floats, **{name: folder / f"{name}.onnx" for name in ("f16", "int8", "mixed", "int4")}}
    how = {name: ["--bits", bits, "--halve-the-rest"] for name, bits in (("f16", "16"), ("int8", "8"), ("int4", "4"))}
    how["mixed"] = ["--plan", PLAN]
    for name, options in how.items():
        subprocess.run([tool, "quantise", floats, networks[name], *options], check=True)
    best, memory, machine = {}, {}, ""
    for _ in range(args.rounds):
        for name, path in networks.items():
            found, machine, memory[name] = bench(tool, path, STEPS, "--ours-only")
            # Stock tract multiplies integers without VNNI a hundred times slower than floats, and int4 not at all.
            if stock_steps := {"f32": STEPS, "int8": STEPS // 10}.get(name):
                found |= {"stock tract": bench(tool, path, stock_steps)[0]["stock tract"]}
            found["onnxruntime"] = runtime_ms(path)
            for engine, value in found.items():
                if value is not None:
                    best[name, engine] = min(value, best.get((name, engine), value))
    base = best["f32", "stock tract"]
    result = {"machine": machine, "steps": STEPS, "networks": {}}
    for name, path in networks.items():
        row = result["networks"][name] = {"bytes": path.stat().st_size, "peak_memory_mb": memory[name]}
        for (_, engine), value in ((key, value) for key, value in best.items() if key[0] == name):
            row[engine] = {"median_ms": round(value, 3), "times_faster_than_stock_f32": round(base / value, 2)}
    print("| weights | file | ours | ONNX Runtime | stock tract | ours against stock f32 | memory, ours |")
    print("|---|---|---|---|---|---|---|")
    for name, row in result["networks"].items():
        columns = [f"{row[e]['median_ms']:.2f} ms" if e in row else "–" for e in ("ours", "onnxruntime", "stock tract")]
        faster = row["ours"]["times_faster_than_stock_f32"]
        print(
            f"| {name} | {row['bytes'] / 1e6:.2f} MB | **{columns[0]}** | {columns[1]} | {columns[2]} "
            f"| {faster} times as fast | {row['peak_memory_mb']:.0f} MB |"
        )
    keep(args.out.resolve(), "python3 tests/benchmarks/engines.py WORK", result)


if __name__ == "__main__":
    main()
