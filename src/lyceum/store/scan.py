"""Unit vectors as int8 rows, compared with one by products of whole numbers, and the best of the scores. Pure."""

from __future__ import annotations

import numkong
import numpy as np
import numpy.typing as npt

BLOCK = 64
Floats = npt.NDArray[np.float32]


def cosines(vector: Floats, matrix: npt.NDArray[np.int8], scales: Floats) -> Floats:
    """Return the cosines of all rows; `scales` gives what a component of each row counts."""
    if not len(matrix):
        return np.zeros(0, np.float32)
    scale = np.float32(float(np.abs(vector).max()) / 127.0 or 1.0)
    whole = np.rint(vector / scale).astype(np.int8)
    dots: Floats = np.asarray(numkong.cdist(whole, matrix, metric="dot"))[0].astype(np.float32)
    dots *= scales
    dots *= scale
    return dots


def top(scores: Floats, k: int) -> npt.NDArray[np.intp]:
    """Return the indices of the k highest scores, best first; ties by index.

    The k best lie within the k blocks whose maxima are highest, so only those are sorted.
    """
    candidates = np.arange(len(scores))
    if len(scores) > BLOCK * k * 2:
        whole = len(scores) // BLOCK * BLOCK
        maxima = scores[:whole].reshape(-1, BLOCK).max(axis=1)
        blocks = np.argpartition(maxima, len(maxima) - k)[-k:]
        inside = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        candidates = np.concatenate((inside, np.arange(whole, len(scores))))
    values = scores[candidates]
    if len(values) > k:
        kept = values >= np.partition(values, len(values) - k)[-k]
        candidates, values = candidates[kept], values[kept]
    return candidates[np.lexsort((candidates, -values))[:k]]
