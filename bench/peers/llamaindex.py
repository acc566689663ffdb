"""LlamaIndex over a list of files as its documentation begins: read, split, embed, index in memory."""

from __future__ import annotations

import contextlib
import io

from measured import Measured

measured = Measured()
with measured.stage("import"):
    import torch
    from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    torch.set_num_threads(1)
with measured.stage("load model"):
    encoder = HuggingFaceEmbedding(model_name=measured.job["model"])
    encoder.get_text_embedding("warm")
heard = io.StringIO()  # it prints the name of a file that it cannot read and goes on
with measured.stage("parse"), contextlib.redirect_stdout(heard):
    documents = SimpleDirectoryReader(input_files=measured.files).load_data()
with measured.stage("split"):
    nodes = SentenceSplitter().get_nodes_from_documents(documents)
some, times = measured.some(nodes)
with measured.stage("embed and index", times):
    VectorStoreIndex(some, embed_model=encoder)
read = {one.metadata["file_path"] for one in documents if one.text.strip()}
measured.done([node.get_content("embed") for node in nodes], read, heard.getvalue())
