"""The check of licences and sources."""

import pytest
from dependencies import REGISTRY, ROOT, allows, doubles, faults

RULES = {
    "licenses": {"allow": ["MIT", "Apache-2.0"]},
    "bans": {"deny": [{"crate": "spy", "reason": "it listens"}]},
}


def package(**other: str | None) -> dict:
    return {"name": "a", "version": "1.0.0", "license": "MIT", "source": REGISTRY, "manifest_path": "/x"} | other


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT/Apache-2.0", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("(GPL-3.0-only OR MIT) AND Apache-2.0", True),
        ("MIT AND (GPL-3.0-only OR LGPL-2.1-only)", False),
        ("GPL-3.0-only OR MIT AND Apache-2.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
    ],
)
def test_licences_are_chosen_where_there_is_a_choice(expression, fits):
    assert allows(expression, {"MIT", "Apache-2.0"}) is fits


@pytest.mark.parametrize("text", ["", "MIT OR", "(MIT", "MIT MIT", "AND MIT", "MIT)", "see the file"])
def test_what_is_no_expression_is_said_to_be_none(text):
    with pytest.raises(ValueError, match=r"expression|bracket"):
        allows(text, {"MIT", "see", "the", "file"})


def test_what_is_allowed_has_no_fault():
    own = package(source=None, manifest_path=str(ROOT / "nlu/Cargo.toml"))
    assert list(faults([package(), own], RULES)) == []


@pytest.mark.parametrize(
    ("other", "part"),
    [
        ({"license": "GPL-3.0-only"}, "is not allowed"),
        ({"license": None}, "names no licence"),
        ({"license": "MIT OR"}, "no licence expression"),
        ({"source": "git+https://example.org/a"}, "use a version from the registry"),
        ({"source": None}, "outside the repository"),
        ({"name": "spy"}, "it listens"),
    ],
)
def test_what_is_not_allowed_is_named(other, part):
    (fault,) = faults([package(**other)], RULES)
    assert part in fault
    assert fault.startswith(other.get("name", "a"))


def test_two_versions_are_told_of():
    assert list(doubles([package(), package(version="2.0.0"), package(name="b")])) == ["a: 1.0.0, 2.0.0"]
