"""Licence notices of every crate that is linked into a package's programs, from the sources that cargo has at hand.

python3 packaging/deb/third_party.py PACKAGE [TARGET] > third-party.txt
"""

import json
import re
import subprocess
import sys
from pathlib import Path

NOTICE = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def metadata(target: str | None) -> dict:
    """What cargo knows about the packages that are built for `target` (the host unless given)."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    if target is None:
        version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True)
        target = re.search(r"^host: (\S+)$", version.stdout, re.MULTILINE)[1]
    command += ["--filter-platform", target]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def linked(data: dict, root: str) -> set[str]:
    """Ids of all packages that end up in `root`'s programs: neither build scripts' nor tests' dependencies."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    waiting = [package["id"] for package in data["packages"] if package["name"] == root]
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
    root, *target = sys.argv[1:]
    data = metadata(target[0] if target else None)
    wanted = linked(data, root)
    packages = [package for package in data["packages"] if package["id"] in wanted and package["source"]]
    bearers: dict[str, list[str]] = {}
    print(f"Crates linked into the programs of {root}, and the notices that come with them.\n")
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
