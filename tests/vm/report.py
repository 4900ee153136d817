"""What the machine told, as lines while it runs and as a table at the end.

    report.py --follow < results.jsonl
    report.py results.jsonl --arch x86_64 --host-seconds 300 [--command "tests/vm.sh"] [--record FILE.json]

Exit code 0: the machine came to its end and everything held.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path


def lines(source: Iterable[str]) -> Iterable[dict]:
    """The lines that are whole."""
    for line in source:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def readable(found: object) -> str:
    """What a check found, on one line."""
    if isinstance(found, dict):
        return ", ".join(f"{key} {value}" for key, value in found.items())
    return " ".join(str(found).split())[-300:]


def show(line: dict) -> None:
    if "check" in line:
        verdict = "holds " if line["holds"] else "FAILED"
        print(f"{verdict} {line['seconds']:7.1f} s  {line['check']}: {readable(line['found'])}", flush=True)
    elif "soak" in line:
        print(f"       {readable(line['soak'])}", flush=True)


def follow() -> int:
    """Prints until the machine's end."""
    for line in lines(sys.stdin):
        show(line)
        if line.get("end"):
            break
    return 0


def conclude(arguments: argparse.Namespace) -> int:
    told = list(lines(Path(arguments.results).read_text().splitlines()))
    checks = [line for line in told if "check" in line]
    whole = any(line.get("end") for line in told)
    held = sum(line["holds"] for line in checks)
    guest = sum(line["seconds"] for line in checks if not line.get("host"))
    unfinished = "" if whole else "; the machine did NOT come to its end"
    times = f"{guest:.0f} s of the machine's time in {arguments.host_seconds} s"
    print(f"{held} of {len(checks)} checks hold, {times}{unfinished}")
    if arguments.record:
        table = {
            "command": arguments.command,
            "machine": f"qemu-system-{arguments.arch}, emulated, one processor, clock by instructions executed",
            "host_seconds": arguments.host_seconds,
            "machine_seconds": round(guest),
            "whole": whole,
            "held": held,
            "checks": checks,
            "soak": [line["soak"] for line in told if "soak" in line],
        }
        Path(arguments.record).write_text(json.dumps(table, indent=1) + "\n")
    return 0 if whole and held == len(checks) else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?")
    parser.add_argument("--follow", action="store_true")
    parser.add_argument("--arch", default="x86_64")
    parser.add_argument("--host-seconds", type=int, default=0)
    parser.add_argument("--command", default="tests/vm.sh")
    parser.add_argument("--record")
    arguments = parser.parse_args()
    return follow() if arguments.follow else conclude(arguments)


if __name__ == "__main__":
    sys.exit(main())
