"""Where traces, counts and logs go: apart from the truth; knows no question and no document."""

MAKERS = {
    "logs": "lyceum.observe.logs:Logs",
    "otlp": "lyceum.observe.otlp:Otlp",
    "spans": "lyceum.observe.spans:Spans",
}
