"""The page's words: one catalogue in two languages, complete, and used; no module parses HTML or asks elsewhere.

Read from the sources, as no browser is needed to find a text that is missing.
"""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from truceline.casework import ACTIONS, TARGETS
from truceline.finding import STATES, VERDICTS
from truceline.observation import RELEASES, TAXONOMY
from truceline.rules.holding import SEVERITIES
from truceline.serve.access import PRIVILEGES, ROLES

PAGE = Path(__file__).parents[1] / "src" / "truceline" / "serve" / "page"
MODULES = [path for path in sorted(PAGE.rglob("*.js")) if "vendor" not in path.parts]
#: Data, not code: its length is the number of the page's texts.
CATALOGUE = PAGE / "catalogue.js"
#: Forms that a number chooses between, by column: English one|other, Ukrainian one|few|many.
FORMS = (2, 3)


@cache
def catalogue() -> dict[str, tuple[str, str]]:
    """Texts by key; a key given twice fails."""
    found: dict[str, tuple[str, str]] = {}
    for line in CATALOGUE.read_text().splitlines():
        if line.startswith('  "'):
            key, texts = re.fullmatch(r'  ("(?:[^"\\]|\\.)*"): (\[.*\]),', line).groups()  # type: ignore[union-attr]
            assert json.loads(key) not in found, f"{key} is given twice"
            found[json.loads(key)] = tuple(json.loads(texts))
    return found


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_a_text_says_the_same_in_both_languages(key):
    """Both are there, fill in the same values, and have as many forms as the language needs for a number."""
    texts = catalogue()[key]
    assert len(texts) == 2
    assert all(texts)
    english, ukrainian = texts
    assert names_in(english) == names_in(ukrainian)
    if "|" in ukrainian:
        assert len(ukrainian.split("|")) == FORMS[1]
        assert len(english.split("|")) in (1, FORMS[0])
        assert all("{n}" in form for form in ukrainian.split("|"))
    else:
        assert "|" not in english, "a number chooses between forms in one language alone"


def test_ukrainian_is_written_in_cyrillic():
    """No English text was left where its translation should be."""
    left = [
        key
        for key, (_, text) in catalogue().items()
        if re.search(r"[A-Za-z]{4,}", text) and not re.search("[а-яіїєґ]", text)
    ]
    assert left == []


def literal(code: str) -> set[str]:
    """Keys as they stand in the code: t("a.b"), and any text that looks like the key of a catalogue's family."""
    families = {key.split(".")[0] for key in catalogue()}
    return {
        text for text in re.findall(r'"((?:[^"\\\n]|\\.)+)"', code) if "." in text and text.split(".")[0] in families
    }


def made(code: str) -> set[str]:
    """Beginnings of keys that are put together: t(`case.${state}`)."""
    return set(re.findall(r"`([a-z_]+(?:\.[a-z_ ]+)*\.)\$\{", code))


def code_of_the_page() -> str:
    return "\n".join(path.read_text() for path in MODULES if path != CATALOGUE)


def test_every_key_that_is_asked_for_is_there():
    asked = set(re.findall(r'\bt\(\s*"([^"]+)"', code_of_the_page()))
    assert asked - set(catalogue()) == set()


def test_every_text_is_used():
    """A text nobody shows is one nobody has checked."""
    code = code_of_the_page()
    used, begun = (
        literal(code),
        tuple(made(code)) + tuple(f"{family}." for family in re.findall(r'term\([^()]*?, "(\w+)"\)', code)),
    )
    begun += ("what.",)  # term(what): the taxonomy
    assert [key for key in catalogue() if key not in used and not key.startswith(begun)] == []


@pytest.mark.parametrize(
    ("family", "members"),
    [
        ("case", STATES),
        ("case", VERDICTS),
        ("verdict", VERDICTS),
        ("severity", SEVERITIES),
        ("role", ROLES),
        ("label", RELEASES),
        ("label.short", RELEASES),
        ("action", ACTIONS),
        ("did", ACTIONS),
        ("clock", [target.step for target in TARGETS]),
        ("what", sorted({term.split(".")[0] for term in TAXONOMY})),
        ("sources", ("waiting", "live", "silent", "refusing", "finished")),
        ("alerts", ("raised", "changed", "withdrawn", "acknowledged")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_service_can_say_has_words(family, members):
    """A state, role or label that is added to the service and has no words yet is found here."""
    assert [one for one in members if f"{family}.{one}" not in catalogue()] == []


def test_the_page_knows_what_each_role_may_do():
    """What somebody may not do is not shown; the page's table is the service's."""
    table = re.search(r"PRIVILEGES = (\{.*?\n\});", (PAGE / "views" / "may.js").read_text(), re.DOTALL)
    assert table is not None
    shown = json.loads(re.sub(r"(\w+):", r'"\1":', re.sub(r",(\s*\})", r"\1", table[1])))
    assert {name: frozenset(roles) for name, roles in shown.items()} == {
        name: roles for name, roles in PRIVILEGES.items() if name in shown
    }
    assert set(PRIVILEGES) - set(shown) <= {"see", "open"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PAGE).as_posix())
def test_a_module_takes_text_as_text_and_stays_small(path):
    code = path.read_text()
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "setHTMLUnsafe",
    ):
        assert forbidden not in code, forbidden
    outside = [one for one in re.findall(r'https?://[^\s"\'`)]+', code) if "www.w3.org" not in one]
    assert [one for one in outside if "${" not in one and not one.startswith("https?:")] == []
    if path != CATALOGUE:
        assert len(code.splitlines()) < 300
