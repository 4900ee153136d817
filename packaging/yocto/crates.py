"""The crates of Cargo.lock as a BitBake include file, which Yocto's fetcher reads.

    python3 packaging/yocto/crates.py           writes meta-vocar/recipes-vocar/vocar/vocar-crates.inc
    python3 packaging/yocto/crates.py --check   says whether that file is what Cargo.lock asks for; exit code 1 if not
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "packaging/yocto/meta-vocar/recipes-vocar/vocar/vocar-crates.inc"
COMMAND = "python3 packaging/yocto/crates.py"


def include() -> str:
    """Text of the include file."""
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    fetched = [package for package in packages if "checksum" in package]
    uris = [f"    crate://crates.io/{package['name']}/{package['version']} \\" for package in fetched]
    sums = [
        f'SRC_URI[{package["name"]}-{package["version"]}.sha256sum] = "{package["checksum"]}"' for package in fetched
    ]
    return "\n".join([f"# From Cargo.lock: {COMMAND}", 'SRC_URI += " \\', *uris, '"', "", *sums, ""])


def main() -> int:
    if "--check" not in sys.argv[1:]:
        INCLUDE.write_text(include())
        return 0
    if INCLUDE.exists() and INCLUDE.read_text() == include():
        return 0
    print(f"{INCLUDE.relative_to(ROOT)} is not what Cargo.lock asks for: {COMMAND}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
