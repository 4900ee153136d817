"""The crates of Cargo.lock as a BitBake include file, which Yocto's fetcher reads.

    python3 packaging/yocto/crates.py           writes meta-vocar/recipes-vocar/vocar/vocar-crates.inc

Run it once in a checkout before the layer is built, and again when Cargo.lock has changed.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "packaging/yocto/meta-vocar/recipes-vocar/vocar/vocar-crates.inc"


def registry(package: dict) -> str:
    """Name of the registry that a package of Cargo.lock comes from, as the fetcher calls it."""
    return package["source"].rsplit("/", 1)[-1].removesuffix("-index")


def include() -> str:
    """Text of the include file."""
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    fetched = [package for package in packages if "checksum" in package]
    uris = [f"    crate://{registry(package)}/{package['name']}/{package['version']} \\" for package in fetched]
    sums = [
        f'SRC_URI[{package["name"]}-{package["version"]}.sha256sum] = "{package["checksum"]}"' for package in fetched
    ]
    return "\n".join(["# From Cargo.lock", 'SRC_URI += " \\', *uris, '"', "", *sums, ""])


def main() -> int:
    INCLUDE.write_text(include())
    return 0


if __name__ == "__main__":
    sys.exit(main())
