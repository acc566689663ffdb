"""Hits to the same hits by how well the pictures of their pages fit the question, mixed with the scores they have.

For what words say badly: charts, drawings, filled-in forms. A page is drawn and encoded when it is first among the
hits, and remembered. Hits without a page keep their place among the others' mean.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lyceum.core.errors import ConfigError, LyceumError
from lyceum.core.protocols import Draw, PictureEncoder
from lyceum.core.trace import span
from lyceum.core.types import Found, Hit, Query
from lyceum.search.mixed import mixed

REMEMBERED = 2_000  # pages
Page = tuple[str, str, int]


class Visual:
    """`weight` is the pictures' share, both sides measured in their own deviations; pages are drawn at `dpi`."""

    def __init__(
        self, picture_encoder: PictureEncoder, draw: Draw, weight: float = 0.4, dpi: int = 72
    ) -> None:
        if picture_encoder is None:
            raise ConfigError(
                "No model sees pictures.", hint='Give picture_encoder = { kind = "models.clip", folder = … }.'
            )
        assert 0 <= weight <= 1, weight
        self.encoder, self.draw, self.weight, self.dpi = picture_encoder, draw, weight, dpi
        self._known: OrderedDict[Page, Any] = OrderedDict()

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits with new scores, best first; each says how well its page fits."""
        with span("search.visual", hits=len(hits)) as facts:
            (asked,) = await self.encoder.texts([query.text])
            fits = [await self._fit(asked, hit) for hit in hits]
            seen = [one for one in fits if one is not None]
            facts["pages"] = len(seen)
        if not seen:
            return list(hits)
        seeing = [
            hit if fit is None else replace(hit, by=(*hit.by, Found(part="picture", rank=None, score=fit)))
            for hit, fit in zip(hits, fits, strict=True)
        ]
        middle = sum(seen) / len(seen)
        return mixed(seeing, [middle if fit is None else fit for fit in fits], self.weight)

    async def _fit(self, asked: Any, hit: Hit) -> float | None:
        page = next((piece.place.page for piece in hit.chunk.pieces if piece.place.page), None)
        if page is None:
            return None
        key = (hit.document.id, hit.document.version, page)
        if key not in self._known:
            try:
                png = await self.draw(hit.document, page, (), self.dpi)
                (self._known[key],) = await self.encoder.pictures([png])
            except LyceumError:
                return None
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return fit(asked, self._known[key])


def fit(text: Any, picture: Any) -> float:
    """Return the cosine of two vectors, or the mean over a text's vectors of the best with the picture's (MaxSim)."""
    cosines = np.atleast_2d(text) @ np.atleast_2d(picture).T
    return float(cosines.max(axis=1).mean())
