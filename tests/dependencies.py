"""Licences and sources of every crate that is built, against deny.toml, and known weaknesses of every crate that is
locked, against advisories.toml, from what cargo has at hand, without a network.

    python3 tests/dependencies.py                 1 when something is not allowed or weak; of crates in two versions and
                                                  of those that nobody maintains is only told
    python3 tests/dependencies.py --update DIR    writes advisories.toml anew, from a clone of the RustSec advisory
                                                  database in DIR

What `cargo deny check` says as well where it is installed and has its database; this needs nothing but Python.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
TOKEN = re.compile(r"\s*([()/]|[A-Za-z0-9.+-]+)")

LOCKS = ("Cargo.lock", "fuzz/Cargo.lock")
ADVISORIES = ROOT / "tests/advisories.toml"
GRAVE = {"vulnerability", "unsound"}
LIGHT = {"unmaintained", "notice"}
FIELDS = ("id", "crate", "kind", "title", "patched", "unaffected")
COMPARATOR = re.compile(
    r"(\^|~|>=|<=|=|>|<|)\s*(\d+|\*)(?:\.(\d+|\*))?(?:\.(\d+|\*))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?"
)
# Where an interval of versions begins or ends: at a version, or, if true, just after it.
Edge = tuple[tuple, bool]
BOTTOM: Edge = ((-1,), False)
TOP: Edge = ((math.inf,), False)
# Sorts before every pre-release of a version.
FIRST = (0,)


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


def rank(pre: str | None) -> tuple:
    """What sorts pre-releases as Semantic Versioning does (2.0.0, section 11): numbers before words, none last."""
    if not pre:
        return (1,)
    return (0, *((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in pre.split(".")))


def order(version: str) -> tuple:
    """What sorts versions as Semantic Versioning does; build metadata does not count."""
    numbers, _, pre = version.partition("+")[0].partition("-")
    return (*map(int, numbers.split(".")), rank(pre))


def span(comparator: str) -> tuple[Edge, Edge]:
    """Where a part of a version requirement of Cargo's begins and before where it ends.

    Versions are compared by order alone, so that 2.0.0-alpha satisfies >= 1.5: Cargo's rule that only who names a
    pre-release gets one is for choosing versions. Pre-releases of an upper bound lie above it: 2.0.0-alpha is not
    < 2.0.0.
    """
    match = COMPARATOR.fullmatch(comparator.strip())
    if not match:
        raise ValueError(f"no version requirement: {comparator}")
    sign, *places, pre = match.groups()
    given = [int(place) for place in places if place not in (None, "*")]
    if not given:
        return BOTTOM, TOP
    last = len(given) - 1
    numbers = [*given, 0, 0][:3]
    own = (*numbers, rank(pre))

    def next_of(place: int) -> Edge:
        return (*[*numbers[:place], numbers[place] + 1, 0, 0][:3], FIRST), False

    end = (own, True) if last == 2 else next_of(last)
    if sign in {">=", ">"}:
        return (own, False) if sign == ">=" else end, TOP
    if sign in {"<=", "<"}:
        return BOTTOM, end if sign == "<=" else (own if pre else (*numbers, FIRST), False)
    if sign == "=" or "*" in places:
        return (own, False), end
    if sign == "~":
        return (own, False), next_of(min(last, 1))
    return (own, False), next_of(next((place for place, number in enumerate(given) if number), last))


def satisfies(version: str, requirement: str) -> bool:
    """Whether a version satisfies all parts of a requirement such as ">= 1.2, < 2"."""
    own = (order(version), False)
    return all(low <= own < high for low, high in map(span, requirement.split(",")))


def concerns(advisory: dict, version: str) -> bool:
    """Whether a version of the crate has the weakness: neither mended nor from before it."""
    return not any(satisfies(version, one) for one in [*advisory["patched"], *advisory["unaffected"]])


def mend(advisory: dict, version: str) -> str:
    """What to do about a weakness: the nearest later versions without it."""

    def begin(requirement: str) -> Edge:
        return max(span(part)[0] for part in requirement.split(","))

    later = [one for one in advisory["patched"] if begin(one) > (order(version), False)]
    if not later:
        return "no later version mends it: do without the crate"
    return f"use {min(later, key=begin)}"


def locked() -> set[tuple[str, str]]:
    """Name and version of every crate that is locked, except our own."""
    packages = [one for file in LOCKS for one in tomllib.loads((ROOT / file).read_text(encoding="utf-8"))["package"]]
    return {(one["name"], one["version"]) for one in packages if "source" in one}


def ignored(rules: dict) -> set[str]:
    """The advisories that deny.toml ignores, each of which has a reason there."""
    entries = rules.get("advisories", {}).get("ignore", [])
    for one in entries:
        if not isinstance(one, dict) or not one.get("reason"):
            raise ValueError(f'deny.toml: advisories.ignore: {one}: write {{ id = "…", reason = "…" }}')
    return {one["id"] for one in entries if "id" in one}


def weaknesses(crates: set[tuple[str, str]], advisories: list[dict], pardoned: set[str]) -> Iterator[tuple[bool, str]]:
    """The known weaknesses of crates, a line each with the mend, and whether they are a reason to stop."""
    for name, version in sorted(crates):
        for one in advisories:
            if one["kind"] not in GRAVE | LIGHT:
                raise ValueError(f"{one['id']}: there is no kind {one['kind']}: {', '.join(sorted(GRAVE | LIGHT))}")
            if one["crate"] == name and one["id"] not in pardoned and concerns(one, version):
                line = f"{name} {version}: {one['id']} ({one['kind']}): {one['title']}: {mend(one, version)}"
                yield one["kind"] in GRAVE, line


def audit(rules: dict) -> int:
    """Prints the known weaknesses of what is locked; how many are a reason to stop."""
    known = tomllib.loads(ADVISORIES.read_text(encoding="utf-8"))
    advisories = known.get("advisory", [])
    crates = locked()
    found = list(weaknesses(crates, advisories, ignored(rules)))
    for grave, line in found:
        print(f"error: {line}" if grave else f"warning: {line}", file=sys.stderr if grave else sys.stdout)
    missed = sorted({name for name, _ in crates} - set(known["crates"]))
    if missed:
        print(f"warning: advisories.toml does not know of {', '.join(missed)}: bring it up to date")
    weak = sum(grave for grave, _ in found)
    compared = f"{len(crates)} crates against {len(advisories)} advisories as of {known['as_of']}"
    print(f"{compared}: {weak} weak, {len(missed)} not looked up")
    return weak


def facts(text: str) -> dict | None:
    """What an advisory of the database says, None if it was withdrawn: TOML in a fence, then a title."""
    _, front, rest = text.split("```", 2)
    front = tomllib.loads(front.removeprefix("toml"))
    about, versions = front["advisory"], front["versions"]
    if "withdrawn" in about:
        return None
    return {
        "id": about["id"],
        "crate": about["package"],
        "kind": about.get("informational", "vulnerability"),
        "title": next(line[2:] for line in rest.splitlines() if line.startswith("# ")),
        "patched": versions["patched"],
        "unaffected": versions.get("unaffected", []),
    }


def render(known: dict) -> str:
    """advisories.toml but for its first comment, by crate and number."""
    names = json.dumps(sorted(known["crates"]))[1:-1] + ","
    wrapped = textwrap.wrap(names, 116, break_on_hyphens=False)
    lines = [f'as_of = "{known["as_of"]}"', f'newest = "{known["newest"]}"']
    lines += ["crates = [", *(f"    {line}" for line in wrapped), "]"]
    for one in sorted(known["advisory"], key=lambda one: (one["crate"], one["id"])):
        lines += ["", "[[advisory]]"]
        lines += [f"{key} = {json.dumps(one[key], ensure_ascii=False)}" for key in FIELDS]
    return "\n".join(lines) + "\n"


def collect(database: Path, names: set[str], titles: dict[str, str]) -> dict:
    """The advisories about these crates in a clone of the database; `titles` are those that are in our words."""
    files = sorted(database.glob("crates/*/RUSTSEC-*.md"))
    if not files:
        raise ValueError(f"{database}: holds no advisories: clone https://github.com/rustsec/advisory-db there")
    found = [facts(file.read_text(encoding="utf-8")) for file in files if file.parent.name in names]
    advisories = [one | {"title": titles.get(one["id"], one["title"])} for one in found if one]
    return {"newest": max(file.stem for file in files), "crates": sorted(names), "advisory": advisories}


def update(database: Path) -> None:
    """Writes advisories.toml anew from a clone of the database; its first comment and our titles stay."""
    text = ADVISORIES.read_text(encoding="utf-8")
    titles = {one["id"]: one["title"] for one in tomllib.loads(text).get("advisory", [])}
    known = collect(database, {name for name, _ in locked()}, titles)
    command = ["git", "-C", str(database), "log", "-1", "--format=%cs"]
    day = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    ADVISORIES.write_text(text[: text.index("as_of = ")] + render(known | {"as_of": day}), encoding="utf-8")
    print(f"{len(known['advisory'])} advisories as of {day}; put new titles in short words")


def check() -> int:
    """Prints all that is wrong with the dependencies; 1 if something is."""
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
    return 1 if audit(rules) or found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Licences, sources and known weaknesses of the dependencies.")
    parser.add_argument("--update", type=Path, metavar="DIR", help="a clone of the RustSec advisory database")
    database = parser.parse_args().update
    try:
        if not database:
            return check()
        update(database)
        return 0
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
