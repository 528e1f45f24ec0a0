"""The built-in providers: found, read, listed."""

from pathlib import Path

import pytest

from proxy.core.dialect import Dialect, Tags
from proxy.settings import SettingsError, builtins
from proxy.settings.builtins import Library
from proxy.settings.mistakes import Report


def test_each_built_in_says_what_it_is(builtin_dir: Path) -> None:
    found = builtins(builtin_dir)
    assert list(found) == ["alpha", "hosted", "local"]
    alpha = found["alpha"]
    assert (alpha.title, alpha.base_url, alpha.key_env) == ("Alpha", "https://api.alpha.example/v1", "ALPHA_KEY")
    assert (alpha.sure, alpha.checked, alpha.sources, alpha.notes) == (
        "A",
        "2026-11-22",
        ("written for these tests",),
        (),
    )
    assert (found["local"].key_env, found["local"].notes) == (None, ("unsure: all of it",))


def test_built_in_knows_how_its_models_speak(builtin_dir: Path) -> None:
    alpha = builtins(builtin_dir)["alpha"]
    assert alpha.manner_of("small").response.tags == Tags(trim="none", blocks="all")
    assert (alpha.manner_of("small").request.default_effort, alpha.manner_of("big").request.default_effort) == (
        "low",
        "high",
    )
    assert builtins(builtin_dir)["local"].manner_of("m").response == Dialect()


def test_those_of_the_checkout_are_found_and_right() -> None:
    folder = Path(__file__).parents[3] / "config" / "providers"
    found = builtins()
    assert sorted(found) == sorted(file.stem for file in folder.glob("*.yaml"))
    assert all(built_in.manner_of("any-model") is not None for built_in in found.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: X\n", "config/providers/bad.yaml:1:1 base_url: missing"),
        ("", "config/providers/bad.yaml:1:1: the file is empty"),
        ("[]", "config/providers/bad.yaml:1:1: expected a mapping, found a list"),
        (
            "title: X\nbase_url: http://x/v1\nlike: locl\nsources: [s]\nchecked: 2026-11-22\nsure: A\n",
            'config/providers/bad.yaml:3:1 like: no such built-in (did you mean "local"?)',
        ),
        (
            "title: X\nbase_url: http://x/v1\nlike: bad\nsources: [s]\nchecked: 2026-11-22\nsure: A\n",
            "config/providers/bad.yaml:3:1 like: `like` goes round in a circle",
        ),
        (
            "title: X\nbase_url: http://x/v1\nsources: [s]\nchecked: 2026-02-31\nsure: A\n",
            "config/providers/bad.yaml:4:10 checked: not a date such as 2026-01-31",
        ),
        (
            "title: X\nbase_url: http://x/v1\nsources: [s]\nchecked: 2026-02-01\nsure: Z\n",
            "config/providers/bad.yaml:5:7 sure: expected A | B | C | D",
        ),
    ],
)
def test_mistake_in_a_built_in_is_told_with_its_file(builtin_dir: Path, text: str, expected: str) -> None:
    (builtin_dir / "bad.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        builtins(builtin_dir)
    assert any(str(mistake).startswith(expected) for mistake in caught.value.mistakes)


def test_built_in_that_is_no_text_is_a_mistake(builtin_dir: Path) -> None:
    (builtin_dir / "bad.yaml").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"config/providers/bad\.yaml: cannot be read"):
        builtins(builtin_dir)


def test_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert builtins(tmp_path / "nope") == {}


def test_only_the_built_ins_that_are_asked_for_are_read(builtin_dir: Path) -> None:
    (builtin_dir / "bad.yaml").write_text("[")
    report = Report()
    library = Library(report, builtin_dir)
    assert [layer.who for layer in library.layers("hosted")] == ["built-in local", "built-in hosted"]
    assert (library.layers("nobody"), report.mistakes) == ((), [])
