"""The car domain for training: its own templates and `car/paraphrases.toml`, and many more names than a driver has.

    python -m training.nlu.car_domain --out data/nlu      # writes train.tsv and dev.tsv with `vocar domain sample`

`strangers-train.tsv` and `strangers-dev.tsv` are what `car/strangers.toml` says: no commands, though they sound like
some. One paraphrase in seven is kept for development, so that what is measured there was not learnt word by word. Names
of people, artists, titles, stations and places come from the slots of the text packs' training splits.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tomllib
import zlib
from pathlib import Path

from training.nlu.text import words

ROOT = Path(__file__).resolve().parents[2]
CAR = ROOT / "nlu" / "domains" / "car"
PARAPHRASES = Path(__file__).parent / "car" / "paraphrases.toml"
STRANGERS = Path(__file__).parent / "car" / "strangers.toml"
#: One paraphrase in this many is for development.
HELD_OUT = 7
#: Entity lists and the slots of the packs that hold such names.
NAMES = {
    "contact": ("person", "relation", "transport_agency"),
    "artist": ("artist", "artist_name"),
    "title": ("track", "album", "playlist", "playlist_name", "song_name", "entity_name", "object_name"),
    "station": ("radio_name", "podcast_name", "media_type"),
    "place": ("city", "state", "country", "place_name", "poi", "restaurant_name", "geographic_poi", "location_name"),
}
_STATIONS = (
    "jazz,rock,classic,country,pop,soul,hits,gold,smooth,capital,star,sunshine,metro,magic,absolute,kiss,national,river,"
    "city,north,coast,valley,one,four,five,seven,nine,ninety,gold coast,talk,news,sports,island,blue,energy,wave"
).split(",")


def names(packs: list[Path]) -> dict[str, list[str]]:
    """Names by entity list, in sayable words."""
    found: dict[str, set[str]] = {name: set() for name in NAMES}
    wanted = {slot: name for name, slots in NAMES.items() for slot in slots}
    for pack in packs:
        for line in pack.read_text(encoding="utf-8").splitlines():
            for slot in json.loads(line)["slots"]:
                said = " ".join(word.text for word in words(slot["value"]))
                name = wanted.get(slot["name"])
                if name and re.fullmatch(r"[a-z' ]{3,32}", said):
                    found[name].add(said)
    found["station"] = {f"{word} {kind}" for word in _STATIONS for kind in ("radio", "f m", "radio station")}
    found["station"] |= {f"radio {word}" for word in _STATIONS}
    found["title"] |= {f"my {word} playlist" for word in ("running", "summer", "party", "driving", "morning")}
    return {name: sorted(said) for name, said in found.items()}


def listed(name: str, said: list[str]) -> str:
    """An entity list as TOML."""
    entries = (f'{{ id = "{name}{number}", says = [{json.dumps(words)}] }},' for number, words in enumerate(said))
    return "\n  ".join([f"{name} = [", *entries]) + "\n]"


def blocks(text: str) -> tuple[str, list[str]]:
    """A domain file without its intents, and the text of each intent."""
    parts = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    intents = [part for part in parts if part.startswith("[[intents]]")]
    return "".join(part for part in parts if not part.startswith("[[intents]]")), intents


def kept(template: str, split: str) -> bool:
    """Whether a paraphrase belongs to a split; decided by the paraphrase alone, so for good."""
    return (zlib.crc32(template.encode()) % HELD_OUT == 0) == (split == "dev")


def lay_out(folder: Path, split: str, source: Path = PARAPHRASES) -> None:
    """A domain of the car's lists and types with the paraphrases of a split, or of another file, as its templates."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in CAR.glob("*.toml"):
        if path.name != "entities.toml":
            (folder / path.name).write_text(blocks(path.read_text(encoding="utf-8"))[0], encoding="utf-8")
    text = source.read_text(encoding="utf-8")
    out = [blocks(text)[0]]
    for intent in tomllib.loads(text)["intents"]:
        chosen = [template.strip() for template in intent["templates"] if kept(template, split)]
        if chosen:
            out.append(f'[[intents]]\nname = "{intent["name"]}"\nabout = "."\ntemplates = {json.dumps(chosen)}\n')
    (folder / "paraphrases.toml").write_text("\n".join(out), encoding="utf-8")
    main = folder / "domain.toml"
    main.write_text(main.read_text(encoding="utf-8").replace("include = [", 'include = [ "paraphrases.toml",'))


def sample(vocar: list[str], domain: str, entities: Path, count: int, seed: int) -> list[str]:
    """Lines of `vocar domain sample --spans`, without the heading."""
    options = ["--spans", "--entities", str(entities), "--count", str(count), "--seed", str(seed)]
    command = [*vocar, "domain", "sample", domain, *options]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return found.stdout.splitlines()[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packs", type=Path, default=ROOT.parent / "shared" / "nlu")
    parser.add_argument("--vocar", default="cargo run -q --release -p vocar-daemon --bin vocar --")
    parser.add_argument("--out", type=Path, default=Path("data/nlu"))
    parser.add_argument("--count", type=int, default=40_000, help="paraphrases for training")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    entities = args.out / "entities.toml"
    packs = [args.packs / f"{pack}-train.jsonl" for pack in ("sonos-nlu-benchmark", "nlu-evaluation-data")]
    lists = names(packs)
    entities.write_text("\n".join(listed(name, said) for name, said in lists.items()), encoding="utf-8")
    print({name: len(said) for name, said in lists.items()})
    vocar = args.vocar.split(" ")
    heading = "text\tintent\tslots\tspans"
    for split, count in (("train", args.count), ("dev", 4000)):
        folder = args.out / f"car-{split}"
        lay_out(folder, split)
        lines = sample(vocar, str(folder), entities, count, 1)
        lines += sample(vocar, "car", entities, count // 3, 2) if split == "train" else []
        lines = list(dict.fromkeys(lines))
        (args.out / f"{split}.tsv").write_text("\n".join([heading, *lines]) + "\n", encoding="utf-8")
        print(f"{split}: {len(lines)} sentences")
        folder = args.out / f"strangers-{split}"
        lay_out(folder, split, STRANGERS)
        lines = list(dict.fromkeys(sample(vocar, str(folder), entities, count // 3, 3)))
        (args.out / f"strangers-{split}.tsv").write_text("\n".join([heading, *lines]) + "\n", encoding="utf-8")
        print(f"strangers, {split}: {len(lines)} sentences")


if __name__ == "__main__":
    main()
