"""Where traces go: a span store of its own, apart from the truth; knows no question and no document."""

MAKERS = {"spans": "lyceum.observe.spans:Spans"}
