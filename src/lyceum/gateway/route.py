"""A call to the target that shall serve it, and on to the next one where that fails; knows no wire format.

Only what has not begun to answer is tried again, and only where another attempt may help: no connection, a time-out,
429 and 5xx.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lyceum.core.errors import LyceumError, NotFound, ProviderError
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Gateway, Model, Target

AGAIN = frozenset({408, 429, 500, 502, 503, 504, 529})


@dataclass(slots=True)
class Lane:
    """A target with the Forward that reaches it and how many calls it is serving."""

    target: Target
    forward: Forward
    busy: int = 0


class Route:
    """Serves the models of a configuration; `lanes` are those of each model."""

    def __init__(self, gateway: Gateway, lanes: Mapping[str, Sequence[Lane]]) -> None:
        self.gateway, self.lanes = gateway, lanes
        self.models = {one.name: one for one in gateway.model}

    def known(self, name: str) -> bool:
        """Say whether a name is a model or an alias of one."""
        return name in self.models or name in self.gateway.alias

    async def __call__(self, call: Call) -> Reply:
        """Return the first good reply of the model's targets, then of its fallbacks; the last failure if none is."""
        name = self.gateway.resolved(call.model)
        if name not in self.models:
            raise NotFound(
                f"There is no model {call.model!r}.", hint="GET /v1/models lists them.", code="no_model"
            )
        failure: Reply | LyceumError | None = None
        for one in (name, *self.models[name].fallback):
            model = self.models[self.gateway.resolved(one)]
            for lane in self._order(model)[: model.retries + 1]:
                call.facts.update(
                    model=model.name, target=lane.target.url, attempts=call.facts.get("attempts", 0) + 1
                )
                lane.busy += 1
                try:
                    reply = await lane.forward(call)
                except ProviderError as problem:
                    lane.busy -= 1
                    failure = problem
                    continue
                except BaseException:
                    lane.busy -= 1
                    raise
                reply.ended.append(_freed(lane))
                if reply.status not in AGAIN:
                    return reply
                reply.finish()
                failure = reply
        if isinstance(failure, Reply):
            return failure
        assert failure is not None
        raise failure

    def _order(self, model: Model) -> list[Lane]:
        """Return the lanes of a model in the order in which they are tried: drawn by weight, without repetition."""
        lanes = self.lanes[model.name]
        if len(lanes) == 1:
            return list(lanes)
        # Efraimidis and Spirakis (2006): keys u^(1/w) draw a weighted permutation.
        return sorted(lanes, key=lambda one: -(random.random() ** (1 / max(one.target.weight, 1e-9))))


def _freed(lane: Lane) -> Callable[[Reply], None]:
    def freed(reply: Reply) -> None:
        lane.busy -= 1

    return freed
