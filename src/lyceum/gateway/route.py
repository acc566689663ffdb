"""A call to the pool of the model it means, canary and fallbacks included; knows no target."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

from lyceum.core.errors import NotFound, ProviderError
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Gateway, Model, Target
from lyceum.gateway.difficulty import opened
from lyceum.gateway.lane import Lane, State
from lyceum.gateway.pick import ORDERS, hashed, whose
from lyceum.gateway.pool import AGAIN, Kept, Pool


class Route:
    """Serves the models of a configuration; `pools` are theirs by name."""

    def __init__(self, gateway: Gateway, pools: Mapping[str, Pool]) -> None:
        self.gateway, self.pools = gateway, pools
        self.models = {one.name: one for one in gateway.model}
        self.chains = {
            one.name: [pools[gateway.resolved(name)] for name in (one.name, *one.fallback)]
            for one in gateway.model
        }

    def known(self, name: str) -> bool:
        """Say whether a name is a model or an alias of one."""
        return name in self.models or name in self.gateway.alias

    async def __call__(self, call: Call) -> Reply:
        """Return the first good reply of the model, then of its fallbacks; the last failure if none is."""
        name = self.gateway.resolved(call.model)
        if name not in self.models:
            raise NotFound(
                f"There is no model {call.model!r}.", hint="GET /v1/models lists them.", code="no_model"
            )
        chain, failure = self.chains[name], None
        if (model := self.models[name]).canary and _drawn(call, model.canary_share):
            chain = [self.pools[self.gateway.resolved(model.canary)], *chain]
        for pool in chain:
            try:
                reply = await pool(call)
            except ProviderError as problem:
                failure = problem
                continue
            if reply.status not in AGAIN or pool is chain[-1]:
                return reply
        assert failure is not None
        raise failure


def _drawn(call: Call, share: float) -> bool:
    """Say whether a call goes to the canary: a session always does or never; without one chance decides."""
    who = whose(call)
    return (hashed(f"canary {who}") if who else random.random()) < share


def routed(
    gateway: Gateway, reached: Callable[[Target, Model], Forward], kept: dict[str, Kept], folder: Path
) -> Route:
    """Build the route of a configuration; what `kept` says of models and targets that stay goes on to hold."""
    pools = {}
    for model in gateway.model:
        mine = kept.setdefault(model.name, Kept())
        lanes = []
        for number, target in enumerate(model.targets):
            twins = sum(one.url == target.url and one.model == target.model for one in model.targets[:number])
            state = mine.states.setdefault((target.url, target.model, twins), State())
            lanes.append(Lane(target, reached(target, model), state, number))
        order = ORDERS.get(model.route) or opened(folder / "difficulty" / f"{model.name}.json", len(lanes))
        pools[model.name] = Pool(model, lanes, order, mine)
    return Route(gateway, pools)
