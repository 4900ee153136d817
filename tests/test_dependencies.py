"""The checks of licences, sources and known weaknesses."""

import os
import subprocess
import sys
import tomllib

import dependencies
import pytest
from dependencies import (
    ADVISORIES,
    GRAVE,
    LIGHT,
    REGISTRY,
    ROOT,
    allows,
    audit,
    check,
    collect,
    concerns,
    doubles,
    facts,
    faults,
    ignored,
    locked,
    main,
    mend,
    render,
    satisfies,
    update,
    weaknesses,
)

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


def advisory(**other: str | list[str]) -> dict:
    one = {"id": "RUSTSEC-2026-0001", "crate": "a", "kind": "vulnerability", "title": "it leaks"}
    return one | {"patched": [">= 1.2.3"], "unaffected": ["< 1.0.0"]} | other


@pytest.mark.parametrize(
    ("version", "requirement", "fits"),
    [
        ("1.2.3", ">= 1.2.3", True),
        ("1.2.2", ">= 1.2.3", False),
        ("1.10.0", ">= 1.9", True),
        ("1.2.3", "> 1.2.3", False),
        ("1.2.4", "> 1.2.3", True),
        ("1.2.9", "> 1.2", False),
        ("1.3.0", "> 1.2", True),
        ("1.2.3", "<= 1.2.3", True),
        ("1.2.4", "<= 1.2.3", False),
        ("1.2.9", "<= 1.2", True),
        ("1.2.3", "< 1.2.3", False),
        ("1.2.2", "<1.2.3", True),
        ("1.2.3", "= 1.2.3", True),
        ("1.2.4", "=1.2.3", False),
        ("1.2.4", "= 1.2", True),
        ("1.3.0", "= 1.2", False),
        ("1.9.0", "^1.2.3", True),
        ("1.2.2", "^1.2.3", False),
        ("2.0.0", "1.2.3", False),
        ("0.3.9", "^ 0.3.1", True),
        ("0.4.0", "^0.3.1", False),
        ("0.0.4", "^0.0.3", False),
        ("0.0.9", "^0.0", True),
        ("0.1.0", "^0.0", False),
        ("0.9.0", "^0", True),
        ("1.0.0", "^0", False),
        ("1.2.9", "~1.2.3", True),
        ("1.3.0", "~1.2.3", False),
        ("1.3.0", "~1", True),
        ("1.2.9", "1.2.*", True),
        ("1.3.0", "1.2.*", False),
        ("9.9.9", "*", True),
        ("0.9.3", "< 0.10.0, >= 0.9.3", True),
        ("0.9.2", "< 0.10.0, >= 0.9.3", False),
        ("0.10.0", "< 0.10.0, >= 0.9.3", False),
        ("1.2.3+build.7", "= 1.2.3", True),
    ],
)
def test_requirements_mean_what_cargo_means(version, requirement, fits):
    assert satisfies(version, requirement) is fits


@pytest.mark.parametrize(
    ("version", "requirement", "fits"),
    [
        ("1.2.3-rc.1", ">= 1.2.3", False),
        ("1.2.4-rc.1", ">= 1.2.3", True),
        ("2.0.0-alpha", "^1.2.3", False),
        ("2.0.0-alpha", "< 2.0.0", False),
        ("1.9.0-alpha", "< 2.0.0", True),
        ("1.0.0-alpha", "< 1.0.0-0", False),
        ("1.0.0-alpha", "< 1.0.0-alpha", False),
        ("1.0.0-alpha.2", ">= 1.0.0-alpha.1", True),
        ("1.0.0-alpha.10", "<= 1.0.0-alpha.9", False),
        ("1.0.0-alpha.1", "< 1.0.0-alpha.beta", True),
        ("1.0.0-alpha", "< 1.0.0-alpha.1", True),
        ("1.0.0", "> 1.0.0-rc.9", True),
    ],
)
def test_a_pre_release_lies_before_its_release_and_outside_of_what_ends_there(version, requirement, fits):
    assert satisfies(version, requirement) is fits


@pytest.mark.parametrize("text", ["", ">=", "1.2.3.4", ">= one", "== 1.0", ">= 1.0 < 2.0"])
def test_what_is_no_requirement_is_said_to_be_none(text):
    with pytest.raises(ValueError, match="no version requirement"):
        satisfies("1.0.0", text)


@pytest.mark.parametrize(
    ("version", "weak"),
    [
        ("0.9.9", False),
        ("1.0.0", True),
        ("1.2.2", True),
        ("1.2.3-rc.1", True),
        ("1.2.3", False),
        ("2.0.0-alpha.1", False),
    ],
)
def test_a_version_is_weak_from_the_first_affected_to_the_first_mended(version, weak):
    assert concerns(advisory(), version) is weak


def test_weak_is_all_that_nothing_excepts():
    assert concerns(advisory(patched=[], unaffected=[]), "9.9.9")
    backport = advisory(patched=["^0.3.5", ">= 0.4.1"], unaffected=[])
    assert [concerns(backport, version) for version in ("0.3.4", "0.3.5", "0.4.0", "0.4.1")] == [
        True,
        False,
        True,
        False,
    ]


def test_what_mends_is_the_nearest_later_version():
    one = advisory(patched=[">= 2.0.1", ">= 1.4.2, < 1.5.0", ">= 1.2.3, < 1.3.0"])
    assert mend(one, "1.4.0") == "use >= 1.4.2, < 1.5.0"
    assert mend(one, "1.5.0") == "use >= 2.0.1"
    assert "do without" in mend(advisory(patched=[]), "1.0.0")


@pytest.mark.parametrize("kind", sorted(GRAVE | LIGHT))
def test_a_weakness_is_told_with_its_mend_and_only_a_grave_one_stops(kind):
    ((grave, line),) = weaknesses({("a", "1.1.0"), ("a", "1.2.3"), ("b", "1.1.0")}, [advisory(kind=kind)], set())
    assert grave is (kind in {"vulnerability", "unsound"})
    assert line == f"a 1.1.0: RUSTSEC-2026-0001 ({kind}): it leaks: use >= 1.2.3"


def test_a_kind_that_nobody_knows_is_not_passed_over():
    with pytest.raises(ValueError, match="no kind unsund"):
        list(weaknesses({("a", "1.1.0")}, [advisory(kind="unsund")], set()))


def test_what_is_ignored_with_a_reason_is_not_told():
    rules = {"advisories": {"ignore": [{"id": "RUSTSEC-2026-0001", "reason": "not reached"}]}}
    other = advisory(id="RUSTSEC-2026-0002")
    ((_, line),) = weaknesses({("a", "1.1.0")}, [advisory(), other], ignored(rules))
    assert "RUSTSEC-2026-0002" in line
    assert ignored({}) == ignored({"advisories": {}}) == set()


@pytest.mark.parametrize("entry", ["RUSTSEC-2026-0001", {"id": "RUSTSEC-2026-0001"}, {"id": "x", "reason": ""}])
def test_nothing_is_ignored_without_a_reason(entry):
    with pytest.raises(ValueError, match="reason ="):
        ignored({"advisories": {"ignore": [entry]}})


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Writes a file of advisories and what is locked, for the check to find."""

    def write(advisories, crates):
        content = {"as_of": "2026-01-02", "newest": "RUSTSEC-2026-0009", "crates": ["a"], "advisory": advisories}
        file = tmp_path / "advisories.toml"
        file.write_text(f"# First.\n{render(content)}")
        monkeypatch.setattr(dependencies, "ADVISORIES", file)
        monkeypatch.setattr(dependencies, "locked", lambda: crates)
        return file

    return write


@pytest.mark.parametrize(
    ("kind", "version", "code"), [("unsound", "1.1.0", 1), ("unsound", "1.2.3", 0), ("notice", "1.1.0", 0)]
)
def test_the_check_fails_because_of_a_grave_weakness_alone(known, monkeypatch, capsys, kind, version, code):
    monkeypatch.setattr(dependencies, "metadata", lambda _: {"resolve": {"nodes": []}, "packages": []})
    known([advisory(kind=kind)], {("a", version)})
    assert check() == code
    out, err = capsys.readouterr()
    assert ("error: a 1.1.0: RUSTSEC-2026-0001" in err) is bool(code)
    assert ("warning: a 1.1.0: RUSTSEC-2026-0001" in out) is (kind == "notice")
    assert f"1 crates against 1 advisories as of 2026-01-02: {code} weak, 0 not looked up" in out


def test_the_check_passes_over_what_deny_toml_ignores(known, capsys):
    known([advisory()], {("a", "1.1.0")})
    assert audit({"advisories": {"ignore": [{"id": "RUSTSEC-2026-0001", "reason": "not reached"}]}}) == 0
    assert "RUSTSEC" not in "".join(capsys.readouterr())
    assert audit({}) == 1


def test_crates_that_were_never_looked_up_are_named(known, capsys):
    known([], {("a", "1.0.0"), ("new", "1.0.0")})
    assert audit({}) == 0
    out = capsys.readouterr().out
    assert "does not know of new: bring" in out
    assert "1 not looked up" in out


def test_what_is_locked_is_the_registry_s_alone_and_that_of_the_fuzzers_too():
    names = {name for name, _ in locked()}
    assert {"tract-onnx", "libfuzzer-sys"} <= names
    assert not {name for name in names if name.startswith("vocar")}


def test_the_file_of_advisories_is_as_update_writes_it():
    text = ADVISORIES.read_text(encoding="utf-8")
    content = tomllib.loads(text)
    assert text.endswith("\n\n" + render(content))
    assert {one["crate"] for one in content["advisory"]} <= set(content["crates"])
    ids = [one["id"] for one in content["advisory"]]
    assert len(set(ids)) == len(ids)
    assert max(ids) <= content["newest"]
    assert all(one["kind"] in GRAVE | LIGHT for one in content["advisory"])
    # Every requirement is read, and something was weak before it was mended.
    assert sum(concerns(one, "0.0.1") for one in content["advisory"]) > 10


TEXT = """```toml
[advisory]
id = "RUSTSEC-2026-0007"
package = "a"
date = "2026-01-01"
informational = "unsound"

[versions]
patched = ["^0.3.5", ">= 0.4.0"]
```

# It races

Much more about it:
```rust
# not a title
```
"""


def test_an_advisory_of_the_database_is_read():
    found = facts(TEXT)
    assert found == advisory(
        id="RUSTSEC-2026-0007", kind="unsound", title="It races", patched=["^0.3.5", ">= 0.4.0"], unaffected=[]
    )
    assert facts(TEXT.replace("informational", "note"))["kind"] == "vulnerability"
    assert facts(TEXT.replace("[versions]", '[versions]\nunaffected = ["< 0.3.0"]'))["unaffected"] == ["< 0.3.0"]
    assert facts(TEXT.replace("date =", 'withdrawn = "2026-02-02"\ndate =')) is None


@pytest.fixture
def database(tmp_path):
    """A database with an advisory of the crate a and a newer one of another crate."""
    folder = tmp_path / "database"
    for crate, number in [("a", 7), ("other", 8)]:
        (folder / "crates" / crate).mkdir(parents=True)
        text = TEXT.replace('"a"', f'"{crate}"').replace("0007", f"000{number}")
        (folder / "crates" / crate / f"RUSTSEC-2026-000{number}.md").write_text(text)
    return folder


def test_of_the_database_only_our_crates_are_taken(database, tmp_path):
    found = collect(database, {"a", "b"}, {"RUSTSEC-2026-0007": "ours"})
    assert found["crates"] == ["a", "b"]
    assert found["newest"] == "RUSTSEC-2026-0008"
    assert [(one["id"], one["title"]) for one in found["advisory"]] == [("RUSTSEC-2026-0007", "ours")]
    with pytest.raises(ValueError, match="holds no advisories"):
        collect(tmp_path / "nowhere", {"a"}, {})


def test_a_folder_without_the_database_changes_nothing(known, tmp_path, monkeypatch, capsys):
    file = known([advisory()], {("a", "1.1.0")})
    before = file.read_text()
    monkeypatch.setattr(sys, "argv", ["dependencies.py", "--update", str(tmp_path / "nowhere")])
    assert main() == 1
    assert "nowhere: holds no advisories" in capsys.readouterr().err
    assert file.read_text() == before


def test_an_update_keeps_the_comment_and_our_titles(known, database):
    file = known([advisory(id="RUSTSEC-2026-0007", title="ours")], {("a", "0.3.4"), ("b", "1.0.0")})
    noon = "2026-03-04T12:00:00Z"
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-C", database, *command], check=True, env=os.environ | {"GIT_COMMITTER_DATE": noon})
    update(database)
    assert file.read_text().startswith('# First.\nas_of = "2026-03-04"\nnewest = "RUSTSEC-2026-0008"\n')
    content = tomllib.loads(file.read_text())
    assert content["crates"] == ["a", "b"]
    assert [(one["title"], one["patched"]) for one in content["advisory"]] == [("ours", ["^0.3.5", ">= 0.4.0"])]
