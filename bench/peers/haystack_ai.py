"""Haystack over a list of files with its ready parts: convert, clean and split, embed, write to memory."""

from __future__ import annotations

import contextlib
import io
import logging

from measured import Measured

measured = Measured()
with measured.stage("import"):
    import torch
    from haystack.components.converters import MultiFileConverter
    from haystack.components.preprocessors import DocumentPreprocessor
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from haystack_integrations.components.embedders.sentence_transformers import (
        SentenceTransformersDocumentEmbedder,
    )

    torch.set_num_threads(1)
with measured.stage("load model"):
    encoder = SentenceTransformersDocumentEmbedder(model=measured.job["model"], progress_bar=False)
    encoder.warm_up()
heard = io.StringIO()  # it warns of a file that it cannot read and goes on
logging.getLogger().addHandler(logging.StreamHandler(heard))
with measured.stage("parse"), contextlib.redirect_stdout(heard):
    documents = MultiFileConverter().run(sources=measured.files)["documents"]
with measured.stage("split"):
    chunks = DocumentPreprocessor().run(documents=documents)["documents"]
some, times = measured.some(chunks)
with measured.stage("embed and index", times):
    store = InMemoryDocumentStore()
    store.write_documents(encoder.run(documents=some)["documents"])
names = {file.name: str(file) for file in measured.files}
with_text = [one for one in documents if (one.content or "").strip()]
read = {names.get(one.meta["file_path"], one.meta["file_path"]) for one in with_text}
measured.done([chunk.content or "" for chunk in chunks], read, heard.getvalue())
