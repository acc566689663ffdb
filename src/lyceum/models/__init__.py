"""Talks to models: the local encoder and chat servers; knows no document and no index."""

MAKERS = {
    "clip": "lyceum.models.clip:Clip",
    "cross_encoder": "lyceum.models.cross_encoder:CrossEncoder",
    "rerank_api": "lyceum.models.rerank_api:RerankAPI",
    "minilm": "lyceum.models.minilm:open_encoder",
    "openai": "lyceum.models.openai:OpenAIChat",
    "scripted": "lyceum.models.scripted:ScriptedChat",
}
