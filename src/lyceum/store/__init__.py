"""The ledger, which alone holds the truth, and the views that follow it; knows no parser and no question."""

# What [dense] may name; the first is built in, the others are databases.
MAKERS = {
    "vectors": "lyceum.store.vectors:Vectors",
    "chroma": "lyceum.store.chroma:Chroma",
    "milvus": "lyceum.store.milvus:Milvus",
    "pgvector": "lyceum.store.pgvector:Pgvector",
    "qdrant": "lyceum.store.qdrant:Qdrant",
    "qdrant_edge": "lyceum.store.qdrant_edge:QdrantEdge",
}
