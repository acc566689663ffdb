"""Office equations to one line a person can read: (a+b)/(c), √(x), x^(2), ∑_(i=1)^(n) (ECMA-376, 22.1). Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lyceum.ingest.ooxml import M, W

ACCENTS = {"̂": "hat", "̃": "tilde", "̄": "bar", "̅": "bar", "⃗": "vec", "̇": "dot", "̈": "ddot"}


def linear(node: Any) -> str:
    """Return the words of an equation or of any part of one."""
    made = MAKERS.get(node.tag)
    if made is not None:
        return made(node)
    if node.tag in (M + "t", W + "t"):
        return node.text or ""
    return "".join(map(linear, node.iterchildren("*")))


def _part(node: Any, name: str) -> str:
    found = node.find(M + name)
    return linear(found).strip() if found is not None else ""


def _value(node: Any, name: str, default: str) -> str:
    found = node.find(f"{M}{node.tag[len(M) :]}Pr/{M}{name}")
    return str(found.get(M + "val", "")) if found is not None else default


def _group(text: str) -> str:
    """Return a part in brackets unless it is one name or number."""
    return text if text.isalnum() else f"({text})" if text else ""


def _fraction(node: Any) -> str:
    bar = _value(node, "type", "bar") != "noBar"
    above, below = _group(_part(node, "num")), _group(_part(node, "den"))
    return f"{above}/{below}" if bar else f"({above} over {below})"


def _root(node: Any) -> str:
    degree = _part(node, "deg")
    return f"{degree if degree != '2' else ''}√{_group(_part(node, 'e')) or '()'}"


def _scripts(node: Any) -> str:
    sub, sup = _part(node, "sub"), _part(node, "sup")
    return ("_" + _group(sub) if sub else "") + ("^" + _group(sup) if sup else "")


def _joined(node: Any, sign: str) -> str:
    return sign.join(linear(one).strip() for one in node.findall(M + "e"))


def _delimited(node: Any) -> str:
    inside = _joined(node, _value(node, "sepChr", "|"))
    return _value(node, "begChr", "(") + inside + _value(node, "endChr", ")")


def _accent(node: Any) -> str:
    sign = _value(node, "chr", "̂")
    return f"{ACCENTS[sign]}({_part(node, 'e')})" if sign in ACCENTS else _part(node, "e") + sign


MAKERS: dict[str, Callable[[Any], str]] = {
    M + "f": _fraction,
    M + "rad": _root,
    **dict.fromkeys((M + "sSup", M + "sSub", M + "sSubSup"), lambda node: _part(node, "e") + _scripts(node)),
    M + "sPre": lambda node: _scripts(node) + _part(node, "e"),
    M + "nary": lambda node: f"{_value(node, 'chr', '∫')}{_scripts(node)} {_part(node, 'e')}",
    M + "d": _delimited,
    M + "limLow": lambda node: f"{_part(node, 'e')}_{_group(_part(node, 'lim'))}",
    M + "limUpp": lambda node: f"{_part(node, 'e')}^{_group(_part(node, 'lim'))}",
    M + "acc": _accent,
    M + "bar": lambda node: f"bar({_part(node, 'e')})",
    M + "func": lambda node: f"{_part(node, 'fName')} {_part(node, 'e')}",
    M + "m": lambda node: "; ".join(_joined(row, ", ") for row in node.findall(M + "mr")),
    M + "eqArr": lambda node: _joined(node, "; "),
    W + "del": lambda node: "",
}
