"""A page as plain as can be, that bench/web.py measures beside Lyceum's: FastAPI, Jinja and server-sent events.

It does what a first prototype has to: an answer that streams, a citation that opens the page with the words marked, a
table, a chart, two languages. The answer is canned and nothing is searched; the page of the PDF is drawn when asked.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pypdfium2 as pdfium
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from jinja2 import Environment

QUOTE = "seven years"
PAGE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="{{ lang }}"><head><meta charset="utf-8"><title>Plain</title>
<link rel="stylesheet" href="/plain.css"></head>
<body><h1>{{ "提问" if lang == "zh" else "Ask" }}</h1><form id="ask"><input name="q"><button>→</button></form>
<div id="answer"></div><div id="page"></div>
<table>{% for n in range(36) %}
<tr><td>document-{{ n }}.pdf</td><td><progress max="36" value="{{ n }}"></progress></td></tr>
{% endfor %}</table>
<svg viewBox="0 0 100 20">{% for n in range(10) %}
<rect x="{{ n * 10 }}" width="8" height="{{ n * 2 }}"/>{% endfor %}</svg>
<script type="module" src="/plain.js"></script></body></html>""")
CSS = (
    "body{font:16px system-ui;max-width:60rem}#page{position:relative}img{width:100%}mark{position:absolute}"
)
SCRIPT = """
const answer = document.getElementById("answer"), page = document.getElementById("page");
document.getElementById("ask").onsubmit = async (event) => {
  event.preventDefault();
  const reader = (await fetch("/ask", { method: "POST" })).body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part; !(part = await reader.read()).done;)
    for (const line of part.value.split("\\n\\n")) if (line) answer.append(JSON.parse(line.slice(6)));
  const cite = Object.assign(document.createElement("button"), { textContent: "1", className: "cite" });
  cite.onclick = async () => {
    const box = await (await fetch("/box")).json();
    const mark = document.createElement("mark");
    mark.style.cssText = `left:${box[0]}%;top:${box[1]}%;width:${box[2]}%;height:${box[3]}%;opacity:.4`;
    page.replaceChildren(Object.assign(new Image(), { src: "/page.png" }), mark);
  };
  answer.append(cite);
};
"""


def made(pdf: str) -> FastAPI:
    """Return the application over one PDF."""
    app = FastAPI()
    page = pdfium.PdfDocument(pdf)[0]

    @app.get("/")
    async def show(lang: str = "en") -> HTMLResponse:
        return HTMLResponse(PAGE.render(lang=lang))

    @app.get("/plain.css")
    async def css() -> Response:
        return Response(CSS, media_type="text/css")

    @app.get("/plain.js")
    async def script() -> Response:
        return Response(SCRIPT, media_type="text/javascript")

    @app.post("/ask")
    async def ask() -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            for word in ("The ", "battery ", "lasts ", QUOTE, ". "):
                yield f"data: {json.dumps(word)}\n\n"
                await asyncio.sleep(0)

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/page.png")
    def picture() -> Response:
        out = BytesIO()
        page.render(scale=110 / 72).to_pil().save(out, "PNG")
        return Response(out.getvalue(), media_type="image/png")

    @app.get("/box")
    def box() -> list[float]:
        text: Any = page.get_textpage()
        found = text.search(QUOTE).get_next()
        left, low, right, top = text.get_rect(text.count_rects(*found) - 1) if found else (0, 0, 9, 9)
        wide, high = page.get_size()
        return [
            100 * left / wide, 100 * (high - top) / high, 100 * (right - left) / wide, 100 * (top - low) / high,
        ]  # fmt: skip

    return app


if __name__ == "__main__":
    uvicorn.run(
        made(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False
    )
