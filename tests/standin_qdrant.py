"""A stand-in for a Qdrant server: the part of its REST interface that Lyceum uses, over plain lists, exact.

It is not Qdrant. Where the package qdrant-client is installed each body is read with that package's models of the
interface, which refuse what the server would not know.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any

MODELS = {"PUT points": "PointsList", "POST points/query": "QueryRequest", "POST points/delete": "PointIdsList",
          "POST points": "PointRequest", "POST points/count": "CountRequest", "PUT index": "CreateFieldIndex",
          "PUT ": "CreateCollection"}  # fmt: skip


class StandIn:
    """A server on a port of its own; `collections` is what it holds, `calls` what it was asked."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[int, dict[str, Any]]] = {}
        self.calls: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size) or b"null")
                _, _, name, *rest = self.path.split("?")[0].split("/")
                status, result = outer.asked(f"{self.command} {'/'.join(rest)}", name, body)
                data = json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self, call: str, name: str, body: Any) -> tuple[int, Any]:
        self.calls.append(call)
        if body is not None and find_spec("qdrant_client"):
            from qdrant_client.http import models

            getattr(models, MODELS[call]).model_validate(body)
        if call == "PUT ":
            self.collections[name] = {}
        if name not in self.collections:
            return 404, None
        if call == "DELETE ":
            del self.collections[name]
            return 200, True
        return 200, answered(call, self.collections[name], body)


def answered(call: str, points: dict[int, dict[str, Any]], body: Any) -> Any:
    if call == "PUT points":
        points.update({one["id"]: one for one in body["points"]})
    elif call == "POST points/delete":
        for number in body["points"]:
            points.pop(number, None)
    elif call == "POST points":
        return [points[number] for number in body["ids"] if number in points]
    elif call == "POST points/count":
        return {"count": sum(passes(one, body["filter"]) for one in points.values())}
    elif call == "POST points/query":
        return {"points": nearest(points, body)}
    return True


def nearest(points: dict[int, dict[str, Any]], body: dict[str, Any]) -> list[dict[str, Any]]:
    found = [
        {"id": one["id"], "score": sum(a * b for a, b in zip(one["vector"], body["query"], strict=True))}
        for one in points.values()
        if passes(one, body["filter"])
    ]
    return sorted(found, key=lambda one: -one["score"])[: body["limit"]]


def passes(point: dict[str, Any], filters: dict[str, Any]) -> bool:
    must = all(holds(point, one) for one in filters.get("must", []))
    return must and not any(holds(point, one) for one in filters.get("must_not", []))


def holds(point: dict[str, Any], condition: dict[str, Any]) -> bool:
    if "has_id" in condition:
        return point["id"] in condition["has_id"]
    held = point["payload"].get(condition["key"], [])
    match, values = condition["match"], held if isinstance(held, list) else [held]
    return bool({*values} & {*match.get("any", [match.get("value")])})
