"""Nothing the pages say is missing or untranslated, and nothing stands in a template or script in one language."""

from __future__ import annotations

import re
import string
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from starlette.requests import Request

from lyceum.app.web import words
from lyceum.core.text import has_cjk

WEB = files("lyceum.app.web")
TEMPLATES = {one.name: one.read_text("utf-8") for one in WEB.joinpath("templates").iterdir()}
SCRIPTS = {
    one.name: one.read_text("utf-8") for one in WEB.joinpath("static").iterdir() if one.name.endswith(".js")
}
PYTHON = "\n".join(one.read_text("utf-8") for one in WEB.iterdir() if one.name.endswith(".py"))
# Keys that code puts together, and words that are the same in both languages.
MADE = ("nav.", "language.", "theme.", "stage.", "place.", "time.", "errors.", "hints.", "script.")
MADE += ("docs.reason.", "xray.at.", "xray.lost.", "xray.next.")
MADE += (
    "evaluate.state_",
    "evaluate.is_",
    "evaluate.half_",
    "evaluate.slice_",
    "evaluate.won",
    "evaluate.lost_them",
)
MADE += ("desk.", "verdict.", "metric.", "autopsy.", "parting.")
MADE += (
    "operate.by_",
    "own.",
    "route.",
    "layer.",
    "stored.",
    "alert.",
    "setup.is_",
    "setup.check",
    "health.",
)
SAME = {"language.en", "language.zh"}
ONE_LANGUAGE = ("errors.", "hints.")  # English comes with the error itself
LETTERS = {"Lyceum", "Enter", "Esc", "·", "%"}


def table(language: str) -> dict[str, str]:
    return {key: text for key, text in words.table(language).items() if not key.startswith(ONE_LANGUAGE)}


def test_both_languages_say_the_same_things() -> None:
    assert table("en").keys() == table("zh").keys()
    for key, english in table("en").items():
        chinese = table("zh")[key]
        holes = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, chinese)
        ]
        assert holes[0] == holes[1], key


def test_every_message_is_translated() -> None:
    left = {
        key
        for key, text in words.table("zh").items()
        if re.search("[A-Za-z，。？]", text) and not has_cjk(text)
    }
    assert left - SAME <= {"place.between"}
    assert {key for key, text in table("en").items() if has_cjk(text)} <= {"language.zh"}


def test_every_error_has_its_hint() -> None:
    zh = words.table("zh")
    assert {key.removeprefix("errors.") for key in zh if key.startswith("errors.")} == {
        key.removeprefix("hints.") for key in zh if key.startswith("hints.")
    }


def used() -> set[str]:
    said = "\n".join(TEMPLATES.values())
    found = set(re.findall(r"""\bt\(["']([\w.]+)["'][,)]""", said)) | set(
        re.findall(r"""\bsay\(\s*f?["']([\w.]+)["']""", PYTHON)
    )
    for name, text in SCRIPTS.items():
        for key in re.findall(r"""\bt\(["'](\w+)["']""", text):
            own = f"script.{name.removesuffix('.js')}.{key}"
            found.add(own if own in table("en") else f"script.shared.{key}")
    return found


def test_every_word_that_is_used_exists() -> None:
    assert len(used()) > 50
    assert used() - table("en").keys() == set()


def test_every_word_that_exists_is_used() -> None:
    scripts = "\n".join(SCRIPTS.values())
    idle = {key for key in table("en").keys() - used() if not key.startswith(MADE)}
    idle |= {
        key for key in table("en") if key.startswith("script.") and f'"{key.split(".")[-1]}"' not in scripts
    }
    assert idle == set()


class Text(HTMLParser):
    """Collects what a template says by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.said += [
            value for name, value in attrs if value and name in ("title", "alt", "placeholder", "aria-label")
        ]

    def handle_data(self, data: str) -> None:
        self.said += data.split()


def own_words(template: str) -> set[str]:
    parser = Text()
    parser.feed(re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", " ", template, flags=re.S))
    return {one for one in parser.said if re.search(r"[A-Za-z]{2}", one)} - LETTERS


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_says_nothing_by_itself(name: str) -> None:
    assert own_words(TEMPLATES[name]) == set()


def test_words_in_a_template_are_found() -> None:
    found = own_words('<p title="Chosen">{{ t("a.b") }} Save {% if x %}now{% endif %}</p>')
    assert found == {"Chosen", "Save", "now"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_nothing_by_itself(name: str) -> None:
    code = re.sub(r"//.*|/\*.*?\*/|\$\{.*?\}", "", SCRIPTS[name])
    assert not re.findall(r"(?:textContent|alert\(|confirm\()\s*[:=]?\s*[\"'`][^\"'`]*[A-Za-z]", code)
    assert not has_cjk(code)


def asked(query: str = "", **headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "query_string": query.encode(), "headers": pairs})


@pytest.mark.parametrize(
    ("query", "headers", "language"),
    [
        ("", {}, "en"),
        ("", {"accept_language": "zh-CN,zh;q=0.9,en;q=0.8"}, "zh"),
        ("", {"accept_language": "fr, en;q=0.4, zh;q=0.7"}, "zh"),
        ("", {"accept_language": "zh;q=0, en"}, "en"),
        ("", {"accept_language": "de;q=x, *"}, "en"),
        ("", {"accept_language": "zh", "cookie": "lyceum_lang=en"}, "en"),
        ("lang=zh", {"cookie": "lyceum_lang=en"}, "zh"),
        ("lang=xx", {"cookie": "lyceum_lang=yy"}, "en"),
    ],
)
def test_the_language_of_a_request(query: str, headers: dict[str, str], language: str) -> None:
    assert words.chosen(asked(query, **headers)) == language
