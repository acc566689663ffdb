"""Bytes to documents, elements and chunks; knows no index, no model and no question."""

MAKERS = {
    "isolated": "lyceum.ingest.isolate:Isolated",
    "structured": "lyceum.ingest.splitter:Structured",
}
