"""The gateways that bench/gateway.py compares: each a process on a free port, and what it used of CPU and memory."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEY = "sk-bench-0123456789"
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 100000000;
upstream up {{ server 127.0.0.1:{port}; keepalive 1024; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:{mine} backlog=2048; location / {{ proxy_pass http://up; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""
LITELLM = """model_list:
  - model_name: chat
    litellm_params: {{model: openai/real, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
litellm_settings: {{num_retries: 0, telemetry: false}}
general_settings: {{master_key: {key}}}
"""
LYCEUM = """[[model]]
name = "chat"
targets = [{{url = "http://127.0.0.1:{port}/v1", model = "real"{target}}}]
[[key]]
id = "bench"
sha256 = "{sha}"
tenant = "bench"
{more}
"""


@dataclass
class Peer:
    """A running gateway: `url` is its address, `process` None where it is not ours to stop."""

    name: str
    url: str
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Return the seconds of CPU that it and its children have used."""
        return sum(_stat(pid)[0] for pid in tree(self.process.pid))

    def memory(self) -> float:
        """Return the megabytes that it and its children hold."""
        return sum(_stat(pid)[1] for pid in tree(self.process.pid))

    def stop(self) -> None:
        """End it and its children."""
        pids = tree(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in pids[1:]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    parents: dict[int, list[int]] = {}
    for one in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = one.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(one.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def _stat(pid: int) -> tuple[float, float]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    return (int(fields[11]) + int(fields[12])) / TICK, int(fields[21]) * PAGE / 1e6


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def upstream() -> Peer:
    """Start the stand-in."""
    command = [sys.executable, str(ROOT / "bench" / "gateway_upstream.py")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    return Peer("direct", f"http://127.0.0.1:{int(process.stdout.readline())}", process)


def lyceum(folder: Path, port: int, name: str = "lyceum", more: str = "", target: str = "") -> Peer:
    """Start `lyceum serve` with a virtual key; `more` is what else stands in its gateway.toml."""
    home = folder / name
    home.mkdir()
    sha = hashlib.sha256(KEY.encode()).hexdigest()
    text = LYCEUM.format(port=port, sha=sha, more=more, target=target)
    (home / "gateway.toml").write_text(text, encoding="utf-8")
    mine = free_port()
    command = [sys.executable, "-m", "lyceum.app.cli", "serve", "--home", str(home), "--port", str(mine)]
    environment = {**os.environ, "LYCEUM_MODELS": str(home / "none")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=None)
    return ready(Peer(name, f"http://127.0.0.1:{mine}", process), "/healthz")


def nginx(folder: Path, port: int) -> Peer | None:
    """Start nginx without buffering, None where it is not installed."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        return None
    mine = free_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port, mine=mine), encoding="utf-8")
    process = subprocess.Popen([program, "-c", str(file), "-e", str(folder / "error.log")])
    return ready(Peer("nginx", f"http://127.0.0.1:{mine}", process), "/")


def litellm(folder: Path, port: int, install: bool) -> Peer | None:
    """Start LiteLLM without a database in an environment of its own, None where there is none and none may be made.

    It is not `ready` yet: that takes it half a minute.
    """
    place = ROOT / ".venv-litellm"
    if not (place / "bin" / "litellm").exists():
        if not install:
            return None
        wanted = ROOT / "bench" / "peers" / "litellm.txt"
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run(
            [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True
        )
    file, mine = folder / "litellm.yaml", free_port()
    file.write_text(LITELLM.format(port=port, key=KEY), encoding="utf-8")
    command = [
        str(place / "bin" / "litellm"),
        "--config",
        str(file),
        "--host",
        "127.0.0.1",
        "--port",
        str(mine),
    ]
    environment = {
        **os.environ, "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "NO_DOCS": "True",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }  # fmt: skip
    process = subprocess.Popen(
        [*command, "--num_workers", "1", "--telemetry", "False"], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return Peer("litellm", f"http://127.0.0.1:{mine}", process)


def ready(peer: Peer, path: str, seconds: float = 120.0) -> Peer:
    """Wait until it answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(peer.url + path, timeout=5).close()
            return peer
        except OSError:
            if time.monotonic() > until or peer.process.poll() is not None:
                peer.stop()
                raise RuntimeError(f"{peer.name} does not come up") from None
            time.sleep(0.1)


@dataclass(frozen=True)
class Load:
    """What wrk saw: requests answered, how many of them not with 200, a second, milliseconds of half and 99 %."""

    requests: int
    failed: int
    rate: float
    p50: float
    p99: float
    cpu: float  # microseconds of the gateway for a request


def wrk(peer: Peer, folder: Path, body: bytes, connections: int, seconds: float) -> Load:
    """Send a body as often as it is answered, over so many connections."""
    script = folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f'wrk.headers["Authorization"] = "Bearer {KEY}"\nwrk.body = [==[{body.decode()}]==]\n'
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    before = peer.cpu()
    done = subprocess.run(
        [*command, "-s", str(script), f"{peer.url}/v1/chat/completions"],
        capture_output=True,
        text=True,
        check=True,
    )
    used = peer.cpu() - before
    text = done.stdout
    requests = _number(r"(\d+) requests in", text)
    failed = _number(r"Non-2xx or 3xx responses: (\d+)", text) + sum(
        int(one) for one in re.findall(r"(?:connect|read|write|timeout) (\d+)", text)
    )
    return Load(
        int(requests), int(failed), _number(r"Requests/sec:\s+([\d.]+)", text),
        _milliseconds("50%", text), _milliseconds("99%", text), used / max(requests, 1) * 1e6,
    )  # fmt: skip


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found.group(1)) if found else 0.0


def _milliseconds(share: str, text: str) -> float:
    found = re.search(re.escape(share) + r"\s+([\d.]+)(us|ms|s|m)\b", text)
    assert found is not None, text
    return float(found.group(1)) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[found.group(2)]
