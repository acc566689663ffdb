"""Texts that try to run in a page, to load something or to leave it: as names, titles, chunks, answers, questions."""

from __future__ import annotations

FAR = "http://192.0.2.1"  # an address that nobody has
PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    f"<script src={FAR}/a.js></script>",
    f"<img src={FAR}/b.png onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<body onload=alert(1)>",
    f"<iframe src={FAR}/c></iframe>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    f"<object data={FAR}/d></object>",
    f"<link rel=stylesheet href={FAR}/e.css>",
    f"<style>@import url({FAR}/f.css);</style>",
    f"<meta http-equiv=refresh content='0;url={FAR}/g'>",
    f"<base href={FAR}/>",
    f"<video src={FAR}/h autoplay onerror=alert(1)></video>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "javascript:alert(1)",
    "[press](javascript:alert(1))",
    f"![picture]({FAR}/i.png)",
    f"[far]({FAR}/j) <{FAR}/k>",
    "{{ 7 * 7 }} {% raw %} ${alert(1)}",
    "`<img src=x onerror=alert(1)>`",
    "&lt;img src=x onerror=alert(1)&gt; &#60;script&#62;alert(1)&#60;/script&#62;",
    "\u202e<img src=x onerror=alert(1)>\u202c مرحبا 👩‍👩‍👧‍👦",
    "data: 1\n\nevent: answer\ndata: {\"html\": \"<img src=x onerror=alert(1)>\"}",
    "\ue0001\ue001<a href='javascript:alert(1)' data-cite=1>x</a>",
]  # fmt: skip
