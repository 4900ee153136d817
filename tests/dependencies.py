"""Licences and sources of every crate that is built, against deny.toml, from what cargo has at hand, without a network.

    python3 tests/dependencies.py      1 when something is not allowed; crates in two versions are only told of

What `cargo deny check bans licenses sources` says as well where it is installed; this needs nothing but Python.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
TOKEN = re.compile(r"\s*([()/]|[A-Za-z0-9.+-]+)")


def tokens(text: str) -> list[str]:
    """An SPDX expression in its parts; a slash is what OR was called once."""
    parts, place = [], 0
    text = text.strip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if not match:
            raise ValueError(f"no licence expression: {text}")
        parts.append("OR" if match[1] == "/" else match[1])
        place = match.end()
    return parts


def allows(expression: str, allowed: set[str]) -> bool:
    """Whether a licence can be chosen from an SPDX expression with what is allowed; an exception only permits more."""
    parts = tokens(expression)

    def either() -> bool:
        found = both()
        while parts[:1] == ["OR"]:
            parts.pop(0)
            found = both() or found
        return found

    def both() -> bool:
        found = one()
        while parts[:1] == ["AND"]:
            parts.pop(0)
            found = one() and found
        return found

    def one() -> bool:
        if not parts or parts[0] in {"AND", "OR", "WITH", ")"}:
            raise ValueError(f"no licence expression: {expression}")
        name = parts.pop(0)
        if name == "(":
            found = either()
            if not parts or parts.pop(0) != ")":
                raise ValueError(f"a bracket is open: {expression}")
            return found
        if parts[:1] == ["WITH"]:
            del parts[:2]
        return name in allowed

    found = either()
    if parts:
        raise ValueError(f"no licence expression: {expression}")
    return found


def metadata(target: str) -> dict:
    """What cargo knows about the packages that are built for `target`."""
    command = ["cargo", "metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", target]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(output.stdout)


def built(data: dict) -> list[dict]:
    """The packages that are built."""
    wanted = {node["id"] for node in data["resolve"]["nodes"]}
    return [package for package in data["packages"] if package["id"] in wanted]


def faults(packages: list[dict], rules: dict) -> Iterator[str]:
    """What is not allowed, a line each, with the mend."""
    allowed = set(rules["licenses"]["allow"])
    banned = {one["crate"]: one["reason"] for one in rules["bans"].get("deny", [])}
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["source"] not in (None, REGISTRY):
            yield f"{name}: comes from {package['source']}: use a version from the registry"
        if package["source"] is None and not Path(package["manifest_path"]).is_relative_to(ROOT):
            yield f"{name}: lies outside the repository ({package['manifest_path']})"
        if package["name"] in banned:
            yield f"{name}: is banned ({banned[package['name']]}): do without it"
        licence = package["license"]
        if not licence:
            yield f"{name}: names no licence: read it, and do without the crate unless it can be allowed"
            continue
        try:
            fits = allows(licence, allowed)
        except ValueError as error:
            yield f"{name}: {error}"
            continue
        if not fits:
            yield f"{name}: {licence} is not allowed: do without it, or add a compatible licence to deny.toml"


def doubles(packages: list[dict]) -> Iterator[str]:
    """Crates in several versions, a line each."""
    versions: dict[str, list[str]] = {}
    for package in packages:
        versions.setdefault(package["name"], []).append(package["version"])
    for name, several in sorted(versions.items()):
        if len(several) > 1:
            yield f"{name}: {', '.join(sorted(several))}"


def main() -> int:
    rules = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
    found: dict[str, None] = {}
    names: set[str] = set()
    for target in rules["graph"]["targets"]:
        packages = built(metadata(target))
        names |= {f"{package['name']} {package['version']}" for package in packages}
        found |= dict.fromkeys(faults(packages, rules))
        for line in doubles(packages):
            print(f"warning: {target}: in several versions: {line}")
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    print(f"{len(names)} crates: {len(found)} not allowed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
