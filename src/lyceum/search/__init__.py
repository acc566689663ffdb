"""Query to hits: tokens, lexical and dense views, their fusion; knows no file, no answer and no model's name."""

MAKERS = {
    "analyzer": "lyceum.search.analyzer:Standard",
    "lexical": "lyceum.search.single:Single",
    "dense": "lyceum.search.single:dense",
    "reranked": "lyceum.search.reranked:Reranked",
    "hybrid": "lyceum.search.hybrid:Hybrid",
    "parents": "lyceum.search.parents:Parents",
    "sentences": "lyceum.search.multivector:Sentences",
    "distinct": "lyceum.search.duplicates:Distinct",
    "fresh": "lyceum.search.fresh:Fresh",
    "tree": "lyceum.search.tree:Tree",
    "abstractive": "lyceum.search.tree:Abstractive",
    "gloss": "lyceum.search.gloss:Gloss",
    "thesaurus": "lyceum.search.thesaurus:Thesaurus",
}
