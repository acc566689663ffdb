"""An answer's text to HTML: its own words alone, marks [n] as links to what is cited; nothing else leads anywhere.

Markdown is what a model writes; quoted words are shown as they stand. Raw HTML is text, pictures their description,
links their words, unless they name a cited source: then they become its mark. nh3 keeps to a list of tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from lyceum.core.types import Citation

TAGS = set(
    "p br hr em strong s code pre blockquote ul ol li table thead tbody tr th td h1 h2 h3 h4 h5 h6".split()
)
OPEN, CLOSE = "\ue000", "\ue001"  # around a citation's number until everything else is clean
_mark = re.compile(r"\[(\d{1,3})\]")
_held = re.compile(f"{OPEN}(\\d+){CLOSE}")
Link = Callable[[int], Markup]


def written(text: str, citations: Sequence[Citation], link: Link) -> Markup:
    """Return Markdown as HTML."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = parser.parse(_marked(text, citations))
    named = {name: cited.number for cited in citations for name in (cited.source, cited.document_id) if name}
    for token in tokens:
        if token.children:
            token.children = _bare(token.children, named)
    made = parser.renderer.render(tokens, parser.options, {})
    return _linked(Markup(nh3.clean(made, tags=TAGS, attributes={})), link)


def quoted(text: str, citations: Sequence[Citation], link: Link) -> Markup:
    """Return plain text as HTML."""
    return _linked(escape(_marked(text, citations)), link)


def own_words(text: str, citations: Sequence[Citation]) -> bool:
    """Say whether a text consists of what it quotes, as it stands: then it is no Markdown."""
    return bool(citations) and all(cited.quote in text for cited in citations)


def _marked(text: str, citations: Sequence[Citation]) -> str:
    numbers = {cited.number for cited in citations}

    def mark(found: re.Match[str]) -> str:
        return f"{OPEN}{found[1]}{CLOSE}" if int(found[1]) in numbers else found[0]

    return _mark.sub(mark, text.replace(OPEN, "").replace(CLOSE, ""))


def _linked(clean: Markup, link: Link) -> Markup:
    parts = _held.split(clean)  # text, number, text, …
    return Markup("").join(
        link(int(part)) if index % 2 else Markup(part) for index, part in enumerate(map(str, parts))
    )


def _bare(tokens: Sequence[Token], named: Mapping[str, int]) -> list[Token]:
    """Return inline tokens without links and pictures; behind a link to a cited source stands its mark."""
    kept: list[Token] = []
    open_marks: list[str] = []
    for token in tokens:
        if token.type == "link_open":
            target = str(token.attrGet("href") or "")
            found = next(
                (number for name, number in named.items() if name in target.split("/") or name == target), 0
            )
            open_marks.append(f"{OPEN}{found}{CLOSE}" if found else "")
        elif token.type == "link_close":
            kept.append(_text(open_marks.pop()))
        else:
            kept.append(_text(token.content) if token.type == "image" else token)
    return kept


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
