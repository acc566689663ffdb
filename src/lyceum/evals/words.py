"""What an autopsy measured to sentences, in the question's language. Pure; every number in them was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lyceum.core.text import language
from lyceum.evals.stages import PLACES

FACTS = {
    "en": {
        "parse": "The gold words are not in what was parsed of {document} ({elements} elements).|Read in as they"
        " stand in the source, they give the right answer.",
        "split": "{document} was parsed with the gold words, but none of its {chunks} chunks holds them whole.|In one"
        " chunk they give the right answer.",
        "index": "The {part} index lacks the gold's chunk or scores it otherwise than one built anew from the ledger."
        "|With the new one the answer is right.",
        "visible": "{document} may be read by {owners}, and {readers} asked.|With their rights the answer is right.",
        "candidates": "The gold's chunk is {lexical} by words and {dense} by meaning, and {wanted} hits were asked"
        " for.|Ranked first by one part, it gives the right answer.",
        "fuse": "The gold's chunk is {lexical} by words and {dense} by meaning, but {fused} when they are fused."
        "|{how} the answer is right.",
        "rerank": "The gold's chunk came to the reranker as {fused} and left it as {offered}.|Put first, it gives the"
        " right answer.",
        "pack": "The search offered the gold's chunk as {offered} of {asked}; the reader got {hits} hits, with the"
        " chunk {read}.|Given first, it gives the right answer.",
        "read": "The reader had the gold's chunk as {read} of {hits} hits and answered: “{said}”.",
        "cite": "The answer is right and stands in the gold that was read, but what is cited is {cited}.",
        "none": "No repair of one stage or of two mends the answer.",
        "sound": "The answer is right and cites gold.",
        "weight": "With the dense part's weight at {weight}",
        "kept": "Kept at the better rank, it is read and",
        "pair": "It takes two repairs: {pair}.",
        "rank": "number {rank}", "beyond": "not there", "without": "without such a part",
        "parted": "A: {a} B: {b} They part at {stage}: {left} in A, {right} in B.",
        "same": "A: {a} B: {b} The gold stands at every stage in both as in the other.",
        "journey": "the gold's chunk is {lexical} by words, {dense} by meaning, {fused} when fused, {offered} in what"
        " the search gives, {read} in what is read; the answer is {right}: “{said}”.",
        "correct": "right", "wrong": "wrong", "there": "there", "gone": "not there",
    },
    "zh": {
        "parse": "从 {document} 解析出的内容（{elements} 个元素）中没有依据原文；|按原文读入后，回答正确。",
        "split": "{document} 的解析结果中有依据原文，但其 {chunks} 个片段中没有一个完整包含它；"
        "|放进一个片段后，回答正确。",
        "index": "{part} 索引中没有依据片段，或得分与由账本重建的索引不同；|换用新索引后，回答正确。",
        "visible": "{document} 只有 {owners} 可读，而提问者是 {readers}；|以其权限提问，回答正确。",
        "candidates": "依据片段按词语为{lexical}，按语义为{dense}，而检索只要 {wanted} 条；"
        "|由其中一路排在首位后，回答正确。",
        "fuse": "依据片段按词语为{lexical}，按语义为{dense}，融合后却为{fused}。|{how}回答正确。",
        "rerank": "依据片段进入重排时为{fused}，重排后为{offered}；|放在首位后，回答正确。",
        "pack": "检索给出的依据片段为{offered}（共要 {asked} 条）；阅读器得到 {hits} 条，其中依据片段为{read}；"
        "|放在首位后，回答正确。",
        "read": "阅读器得到的 {hits} 条中依据片段为{read}，它的回答是：“{said}”。",
        "cite": "回答正确，且出自所读的依据，但引用的是 {cited}。",
        "none": "修复任何一个或两个环节都不能使回答正确。",
        "sound": "回答正确，并引用了依据。",
        "weight": "语义权重改为 {weight} 后，",
        "kept": "保持较好的名次后，",
        "pair": "需要同时修复两个环节：{pair}。",
        "rank": "第 {rank} 名", "beyond": "不在其中", "without": "无此环节",
        "parted": "A：{a}B：{b}两者从 {stage} 环节分开：A 中{left}，B 中{right}。",
        "same": "A：{a}B：{b}依据在两者的每个环节都相同。",
        "journey": "依据片段按词语为{lexical}，按语义为{dense}，融合后为{fused}，检索结果中为{offered}，"
        "阅读内容中为{read}；回答{right}：“{said}”。",
        "correct": "正确", "wrong": "错误", "there": "在", "gone": "不在其中",
    },
}  # fmt: skip
FIX = {
    "en": {
        "parse": "Look at how the file was read (lyceum docs ID); read it again, with OCR or another parser.",
        "split": "Let the splitter make larger chunks, or keep such text together.",
        "index": "Rebuild the {part} index.",
        "visible": "Give {readers} the document, or ask as one who has it.",
        "lexical": "Rewrite the question, add other words for its terms, or ask for more hits.",
        "dense": "Take another encoder, or ask for more hits.",
        "fuse": "Set the retriever's weight to {weight}.",
        "kept": "No weight alone mends it: put a reranker behind the fusion, or read more hits.",
        "rerank": "Take the reranker away, or another one.",
        "pack": "Give the reader more: hits or budget in [answerer].",
        "read": "Take another reader or model, or another prompt; see the threshold if it refused.",
        "cite": "Cite from the passage that the answer's words stand in.",
        "none": "Check whether the gold holds the answer.", "sound": "",
    },
    "zh": {
        "parse": "查看文件的读取结果（lyceum docs ID），用 OCR 或其他解析器重新读取。",
        "split": "让切分器生成更大的片段，或保持这类文本完整。",
        "index": "重建 {part} 索引。",
        "visible": "让 {readers} 可读该文档，或以有权限者提问。",
        "lexical": "改写问题、补充同义词，或多取检索结果。",
        "dense": "换用其他编码器，或多取检索结果。",
        "fuse": "将检索器的 weight 设为 {weight}。",
        "kept": "仅改权重无效：在融合之后加重排，或读取更多结果。",
        "rerank": "去掉或更换重排器。",
        "pack": "让阅读器读得更多：[answerer] 的 hits 或 budget。",
        "read": "更换阅读器、模型或提示词；若是拒答，查看阈值。",
        "cite": "从回答所在的片段引用。",
        "none": "检查依据是否包含答案。", "sound": "",
    },
}  # fmt: skip


def facts(
    question: str, stages: tuple[str, ...], measured: Mapping[str, Any], advised: str = ""
) -> tuple[str, str]:
    """Return what was measured of a cause, and the cheapest fix of its class, that one in the language `advised`."""
    spoken = language(question)
    table, first = FACTS[spoken], "candidates" if stages[0] in ("lexical", "dense") else stages[0]
    how = "weight" if "weight" in measured else "kept"
    values = {"weight": "", "part": "", **measured, **ranked(spoken, measured)}
    values["how"] = table[how].format(**values)
    seen, _, then = table[first].format(**values).partition("|")
    then = table["pair"].format(pair=" + ".join(stages)) if len(stages) > 1 else then
    said = f"{seen}{' ' if spoken == 'en' else ''}{then}".strip()
    fix = "kept" if stages[0] == "fuse" and "weight" not in measured else stages[0]
    return said, FIX[advised or spoken][fix].format(**values)


def ranked(spoken: str, measured: Mapping[str, Any]) -> dict[str, str]:
    """Return ranks in words."""
    table = FACTS[spoken]

    def told(place: str) -> str:
        if place in measured.get("lacks", ()):
            return table["without"]
        return table["rank"].format(rank=measured[place]) if measured.get(place) else table["beyond"]

    return {place: told(place) for place in PLACES}


def parting(question: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """Return the paragraph that says where a question's gold went in two pipelines, and where they part."""
    spoken = language(question)
    table, told = FACTS[spoken], []
    for one in (a, b):
        right = table["correct" if one["right"] else "wrong"]
        told.append(table["journey"].format(**{**one, **ranked(spoken, one), "right": right}))
    for stage in ("parsed", "held", "visible", *PLACES):
        if stage in PLACES:
            left, right = (ranked(spoken, one)[stage] for one in (a, b))
        else:
            left, right = (table["there" if one[stage] else "gone"] for one in (a, b))
        if left != right and stage not in (*a["lacks"], *b["lacks"]):
            return table["parted"].format(a=told[0], b=told[1], stage=stage, left=left, right=right)
    return table["same"].format(a=told[0], b=told[1])
