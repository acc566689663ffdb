"""Hits to an answer whose every statement is cited, or a refusal with its reason; knows no file and no index."""

MAKERS = {
    "computed": "lyceum.answer.computed:Computed",
    "evidence": "lyceum.answer.evidence:Evidence",
    "extractive": "lyceum.answer.extractive:Extractive",
    "generative": "lyceum.answer.generative:Generative",
    "grade": "lyceum.answer.grade:Grade",
    "chat_grade": "lyceum.answer.grade:ChatGrade",
    "vision": "lyceum.answer.vision:Vision",
    "rerank": "lyceum.answer.rerank:Rerank",
}
