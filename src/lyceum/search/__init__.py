"""Query to hits: tokens, lexical and dense views, their fusion; knows no file, no answer and no model's name."""

MAKERS = {
    "analyzer": "lyceum.search.analyzer:Standard",
    "lexical": "lyceum.search.single:Single",
    "dense": "lyceum.search.single:dense",
    "corrective": "lyceum.search.corrective:Corrective",
    "reranked": "lyceum.search.reranked:Reranked",
    "visual": "lyceum.search.visual:Visual",
    "hybrid": "lyceum.search.hybrid:Hybrid",
    "history": "lyceum.search.history:History",
    "rm3": "lyceum.search.feedback:RM3",
    "rocchio": "lyceum.search.feedback:Rocchio",
    "synonymous": "lyceum.search.feedback:Synonymous",
    "spelled": "lyceum.search.spelling:Spelled",
    "rewritten": "lyceum.search.rewritten:Rewritten",
    "decomposed": "lyceum.search.decomposed:Decomposed",
    "selfquery": "lyceum.search.selfquery:SelfQuery",
    "routed": "lyceum.search.routed:Routed",
    "linked": "lyceum.search.linked:Linked",
    "recursive": "lyceum.search.recursive:Recursive",
    "gloss": "lyceum.search.gloss:Gloss",
    "thesaurus": "lyceum.search.thesaurus:Thesaurus",
}
