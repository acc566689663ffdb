"""Query to hits: tokens, lexical and dense views, their fusion; knows no file, no answer and no model's name."""

MAKERS = {
    "analyzer": "lyceum.search.analyzer:Standard",
    "lexical": "lyceum.search.single:Single",
    "dense": "lyceum.search.single:dense",
    "reranked": "lyceum.search.reranked:Reranked",
    "hybrid": "lyceum.search.hybrid:Hybrid",
    "gloss": "lyceum.search.gloss:Gloss",
    "calibrated": "lyceum.search.calibrated:Calibrated",
    "learned": "lyceum.search.learned:Learned",
    "listwise": "lyceum.search.listwise:Listwise",
    "maxsim": "lyceum.search.maxsim:MaxSim",
    "mixed": "lyceum.search.mixed:Mixed",
    "thesaurus": "lyceum.search.thesaurus:Thesaurus",
}
