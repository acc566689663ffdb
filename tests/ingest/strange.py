"""A parsing process whose text files say how their parser misbehaves: "ACTION PAGES" gives so many pages first.

Tests and bench/hostile.py start it in the place of `lyceum.ingest.worker`; limits are the real ones.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

from lyceum.core.types import Document, Element, Page
from lyceum.ingest import media, plain, worker


def parse(data: bytes, document: Document) -> Iterator[Page]:
    action, _, rest = data.decode("utf-8", "replace").partition(" ")
    if action not in ACTIONS:
        yield from plain.parse(data, document)
        return
    for number in range(int(rest.split()[0])):
        yield said(document, f"Page {number + 1}.")
    yield from ACTIONS[action](document)


def said(document: Document, text: object) -> Page:
    return Page(elements=(Element(doc_id=document.id, kind="text", text=str(text)),))


def sleep(document: Document) -> Iterator[Page]:
    time.sleep(600)
    yield said(document, "late")


def spin(document: Document) -> Iterator[Page]:
    while time.process_time():
        pass
    yield said(document, "late")


def allocate(document: Document) -> Iterator[Page]:
    blocks = []
    while True:
        blocks.append(bytearray(1 << 24))
    yield said(document, len(blocks))


def die(document: Document) -> Iterator[Page]:
    os.kill(os.getpid(), signal.SIGSEGV)
    yield said(document, "late")


def fail(document: Document) -> Iterator[Page]:
    raise KeyError(document.id)
    yield said(document, "late")


def fork(document: Document) -> Iterator[Page]:
    yield said(document, subprocess.Popen(["sleep", "600"]).pid)
    time.sleep(600)


def chatter(document: Document) -> Iterator[Page]:
    while True:
        yield said(document, "word " * 100)


def work(document: Document) -> Iterator[Page]:
    """Use .15 s of the processor for each of ten pages."""
    for number in range(10):
        until = time.process_time() + 0.15
        while time.process_time() < until:
            pass
        yield said(document, f"Page {number}.")


def look(document: Document) -> Iterator[Page]:
    """Tell what this process sees of the machine: folder, files in it, limits, and whether it can connect."""
    with open("note", "w") as file:
        file.write("left behind")
    limits = [
        resource.getrlimit(one)[0]
        for one in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)
    ]
    try:
        socket.create_connection(("127.0.0.1", int(os.environ["LANG"])), timeout=2).close()
        network = "reached"
    except OSError:
        network = "none"
    yield said(document, " ".join([os.getcwd(), os.environ["TMPDIR"], network, *map(str, limits)]))


ACTIONS = {one.__name__: one for one in (sleep, spin, allocate, die, fail, fork, chatter, work, look)}

if __name__ == "__main__":
    media.PARSERS["txt"] = "tests.ingest.strange:parse"
    worker.main()
