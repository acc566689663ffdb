"""Writes the pages of docs/ that the code itself can tell, and the line numbers of the tour.

Run: python docs/generate.py; with --check it writes nothing and fails when a page is stale.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from lyceum import wire
from lyceum.app.cli import parser
from lyceum.core import errors
from lyceum.evals import judge, support
from lyceum.evals.adapters import DEEPEVAL, RAGAS
from lyceum.evals.metrics import DEFAULT, METRICS

DOCS = Path(__file__).parent
ROOT = DOCS.parent
_place = re.compile(r"`(src/[\w/]+\.py):\d+` `([\w.]+)`")


def catalog() -> str:
    """Return every part that a configuration may name, with its parameters and their defaults."""
    lines = [
        "# Catalogue",
        "",
        "Every `kind` that lyceum.toml may name. A parameter without a default is filled from",
    ]
    lines += ["the part of the same name.", ""]
    for kind, target in sorted(wire.makers().items()):
        module, _, name = target.partition(":")
        maker = getattr(importlib.import_module(module), name)
        said = (inspect.getdoc(maker) or "").split("\n\n")[0].replace("\n", " ")
        taken = [
            f"`{one.name}`" if one.default is inspect.Parameter.empty else f"`{one.name} = {one.default!r}`"
            for one in inspect.signature(maker).parameters.values()
        ]
        file = module.replace(".", "/")
        lines += [
            f"## {kind}",
            "",
            f"`src/{file}.py`. {said}",
            "",
            f"Parameters: {', '.join(taken) or 'none'}.",
            "",
        ]
    return "\n".join(lines)


def command_line() -> str:
    """Return the help of every command."""
    top = parser()
    lines = ["# Command line", "", "```", top.format_help().rstrip(), "```", ""]
    for command in _commands(top):
        lines += [f"## {command.prog}", "", "```", command.format_help().rstrip(), "```", ""]
    return "\n".join(lines)


def _commands(above: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in above._subparsers._group_actions if above._subparsers else ():
        for command in (action.choices or {}).values():  # type: ignore[union-attr]
            yield command
            yield from _commands(command)


def error_table() -> str:
    """Return the tree of errors with status, code and whether trying again may help."""
    lines = ["# Errors", "", 'Over HTTP: `{"error": {"code", "message", "hint", "retryable", "type"}}`.', ""]
    lines += ["| error | HTTP status | code | try again | meaning |", "|---|---|---|---|---|"]
    for _, one in inspect.getmembers(errors, inspect.isclass):
        if issubclass(one, errors.LyceumError):
            again = "yes" if one.class_retryable else "no"
            said = (one.__doc__ or "").split("\n")[0]
            lines.append(f"| {one.__name__} | {one.class_status} | {one.default_code} | {again} | {said} |")
    return "\n".join([*lines, ""])


def metrics() -> str:
    """Return every metric by its name, with what it says."""
    rows: dict[str, list[str]] = {}
    for name, one in METRICS.items():
        rows.setdefault(_told(getattr(one, "func", one)), []).append(name)
    for room, names in ((support, support.SUPPORT), (judge, judge.JUDGES)):
        for name in names:
            rows[_told(getattr(room, name.removeprefix("judged-").replace("-", "_")))] = [name]
    rows["Needs the extra `ragas`."], rows["Needs the extra `deepeval`."] = list(RAGAS), list(DEEPEVAL)
    lines = ["# Metrics", "", "What `lyceum eval run --metrics` may name; higher is better. Without it: "]
    lines[-1] += ", ".join(f"`{name}`" for name in DEFAULT) + "."
    lines += ["", "| metric | what it says |", "|---|---|"]
    lines += [f"| {', '.join(f'`{one}`' for one in names)} | {said} |" for said, names in rows.items()]
    return "\n".join([*lines, ""])


def _told(function: object) -> str:
    said = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ").removeprefix("Return ")
    return said[:1].upper() + said[1:]


def tour() -> str:
    """Return the tour with the line numbers of today; raise when it names something that is not there."""
    return _place.sub(_located, (DOCS / "tour.md").read_text(encoding="utf-8"))


def _located(match: re.Match[str]) -> str:
    file, name = match.groups()
    found = dict(_defined(ast.parse((ROOT / file).read_text(encoding="utf-8")), ""))
    if name not in found:
        raise SystemExit(f"docs/tour.md names {name}, which is not in {file}.")
    return f"`{file}:{found[name]}` `{name}`"


def _defined(node: ast.AST, path: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield path + child.name, child.lineno
            yield from _defined(child, f"{path}{child.name}.")


PAGES = {
    "catalog.md": catalog,
    "cli.md": command_line,
    "errors.md": error_table,
    "metrics.md": metrics,
    "tour.md": tour,
}


def main() -> int:
    """Write or check every page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="fail when a page is stale")
    check = options.parse_args().check
    stale = []
    for name, made in PAGES.items():
        file, text = DOCS / name, made()
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                file.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{'stale' if check else 'written'}: {', '.join(stale) or 'none'}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
