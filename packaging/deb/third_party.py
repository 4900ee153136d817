"""Licence notices of every crate that is linked into the programs, from the sources that cargo has at hand.

    python3 packaging/deb/third_party.py [TARGET] > third-party.txt
"""

import json
import re
import subprocess
import sys
from pathlib import Path

NOTICE = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
ROOT = "vocar-daemon"


def metadata(target: str | None) -> dict:
    """What cargo knows about the packages that are built for `target` (the host unless given)."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    if target is None:
        version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True)
        target = re.search(r"^host: (\S+)$", version.stdout, re.MULTILINE)[1]
    command += ["--filter-platform", target]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def linked(data: dict) -> set[str]:
    """Ids of all packages that end up in the programs: neither build scripts' nor tests' dependencies."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    waiting = [package["id"] for package in data["packages"] if package["name"] == ROOT]
    found: set[str] = set()
    while waiting:
        identity = waiting.pop()
        if identity in found:
            continue
        found.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return found


def notices(folder: Path) -> list[str]:
    """Texts of the licence files in a package."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and NOTICE.match(file.name))
    return [file.read_text(encoding="utf-8", errors="replace").strip() for file in files]


def main() -> None:
    data = metadata(sys.argv[1] if len(sys.argv) > 1 else None)
    wanted = linked(data)
    packages = [package for package in data["packages"] if package["id"] in wanted and package["source"]]
    bearers: dict[str, list[str]] = {}
    print("Crates linked into vocar and vocard, and the notices that come with them.\n")
    for package in sorted(packages, key=lambda package: (package["name"], package["version"])):
        name = f"{package['name']} {package['version']}"
        texts = notices(Path(package["manifest_path"]).parent)
        print(f"{name}: {package['license'] or 'see below'}{'' if texts else ' (no notice in the package)'}")
        for author in package["authors"] if not texts else []:
            print(f"    by {author}")
        for text in texts:
            bearers.setdefault(text, []).append(name)
    for text, names in bearers.items():
        print(f"\n{'=' * 78}\n{', '.join(names)}\n{'-' * 78}\n{text}")


if __name__ == "__main__":
    main()
