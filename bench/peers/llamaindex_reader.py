"""LlamaIndex's SimpleDirectoryReader file by file, each in a forked child with limits: what its caller would see.

Arguments: a JSON file {files, cpu_seconds, memory_mb}. Prints one line of JSON, for each path [outcome, detail].
Only its own packages and the standard library, for each peer has an environment of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
from pathlib import Path

from llama_index.core import SimpleDirectoryReader

PLAIN = {".csv", ".json", ".md", ".txt", ".xml"}  # whose bytes are their text
WALL_SECONDS = 900


def seen(file: str) -> tuple[str, str]:
    """Return what loading a file gives: usable text, its bytes as text, nothing, or an exception."""
    heard = io.StringIO()
    try:
        with contextlib.redirect_stdout(heard):
            documents = SimpleDirectoryReader(input_files=[file]).load_data()
        text = "\n".join(document.text or "" for document in documents)
    except MemoryError:
        return "limit", "MemoryError"
    except Exception as problem:  # noqa: BLE001 - whatever a peer raises is its outcome
        return "exception", repr(problem)[:300]
    if not any(character.isalnum() for character in text):
        return "nothing", heard.getvalue().strip()[-300:]
    unread = text == Path(file).read_bytes().decode("utf-8", "ignore")
    raw = unread and Path(file).suffix.lower() not in PLAIN
    return ("raw" if raw else "usable"), f"{len(text)} characters"


def limit(cpu_seconds: int, memory_mb: int) -> None:
    """Give this process so much of the processor, and so many addresses more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(WALL_SECONDS)


def apart(file: str, cpu_seconds: int, memory_mb: int) -> tuple[str, str]:
    """Load a file in a child; being killed for a limit or dying is an outcome, too."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        limit(cpu_seconds, memory_mb)
        os.write(writing, json.dumps(seen(file)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        outcome, detail = json.loads(told)
        return outcome, detail
    return ("limit" if -code in (signal.SIGXCPU, signal.SIGALRM) else "died"), f"exit {code}"


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    SimpleDirectoryReader.supported_suffix_fn()  # imports its readers once, before the children
    print(json.dumps({file: apart(file, job["cpu_seconds"], job["memory_mb"]) for file in job["files"]}))


if __name__ == "__main__":
    main()
