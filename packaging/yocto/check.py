"""Checks the layer as far as that goes without a Yocto build: BitBake's own parser reads configuration and recipes,
every file that a recipe installs and every licence sum is compared with the checkout, crates are those of Cargo.lock.

    python3 packaging/yocto/check.py

The parser comes with BitBake (`pip install bitbake-setup`, or its lib folder in $PYTHONPATH); the classes of
OpenEmbedded are stand-ins here, so that what they do with the variables is not checked. Exit code 0: nothing is wrong.
"""

import hashlib
import re
import sys
import tempfile
import types
from pathlib import Path

import crates

LAYER = Path(__file__).resolve().parent / "meta-vocar"
# What OpenEmbedded's configuration would say.
PATHS = {
    "bindir": "/usr/bin",
    "datadir": "/usr/share",
    "sysconfdir": "/etc",
    "localstatedir": "/var",
    "nonarch_libdir": "/usr/lib",
    "libexecdir": "/usr/libexec",
    "docdir": "/usr/share/doc",
    "mandir": "/usr/share/man",
    "systemd_system_unitdir": "/usr/lib/systemd/system",
    "systemd_user_unitdir": "/usr/lib/systemd/user",
    "AUTOREV": "AUTOINC",
}
WANTED = ("SUMMARY", "DESCRIPTION", "LICENSE", "LIC_FILES_CHKSUM", "SRC_URI", "do_install")


def parse(recipe: Path) -> "bb.data_smart.DataSmart":  # noqa: F821
    """The recipe's variables, read after the layer's configuration."""
    # The published package leaves out the client of a build server, which parsing does not need.
    for name in ("hashserv", "hashserv.client"):
        sys.modules.setdefault(name, types.ModuleType(name))
    import bb.data
    import bb.parse
    import bb.siggen

    text = recipe.read_text()
    with tempfile.TemporaryDirectory() as room:
        for name in re.findall(r"^inherit (.+)$", text, re.MULTILINE):
            for single in name.split():
                stand_in = Path(room, "classes", f"{single}.bbclass")
                stand_in.parent.mkdir(exist_ok=True)
                stand_in.touch()
        data = bb.data.init()
        bb.parse.siggen = bb.siggen.init(data)
        data.setVar("BBPATH", f"{room}:{LAYER}")
        data.setVar("LAYERDIR", str(LAYER))
        data = bb.parse.handle(str(LAYER / "conf/layer.conf"), data)
        for name, value in PATHS.items():
            data.setVar(name, value)
        data.setVar("PN", recipe.stem.split("_")[0])
        data.setVar("__bbclasstype", "recipe")
        return bb.parse.handle(str(recipe), data)[""]


def problems_of(recipe: Path) -> list[str]:
    """What is wrong with a recipe."""
    data = parse(recipe)
    found = [f"{name} is missing" for name in WANTED if not data.getVar(name)]
    steps = data.getVar("do_install") or ""
    for source in re.findall(r"\$\{S\}/([^\s;]+)", data.getVar("do_install", False) or ""):
        pattern = re.sub(r"\$\w+", "*", source)
        if not list(crates.ROOT.glob(pattern)):
            found.append(f"do_install: {source} is not in the checkout")
    if "${" in steps.replace("${S}", "").replace("${B}", "").replace("${D}", "").replace("${CARGO_TARGET_SUBDIR}", ""):
        found.append(f"do_install: a variable is unknown: {steps}")
    for name, total in re.findall(r"file://(\S+);md5=(\w+)", data.getVar("LIC_FILES_CHKSUM") or ""):
        if hashlib.md5((crates.ROOT / name).read_bytes()).hexdigest() != total:
            found.append(f"LIC_FILES_CHKSUM: {name} has another sum")
    return found


def main() -> int:
    wrong = crates.main()
    try:
        import bb  # noqa: F401
    except ImportError:
        print("SKIPPED: parsing the recipes: BitBake is missing: pip install bitbake-setup")
        return wrong
    for recipe in sorted(LAYER.glob("recipes-*/*/*.bb")):
        found = problems_of(recipe)
        print(f"{recipe.relative_to(LAYER)}: {'; '.join(found) or 'well'}")
        wrong |= bool(found)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
