"""Everything that one simulated Asleep consists of, before it is served."""

from __future__ import annotations

from collections import Counter
from random import Random

from asleep_pipeline.simulator.account import Account
from asleep_pipeline.simulator.clock import Clock
from asleep_pipeline.simulator.faults import Faults
from asleep_pipeline.simulator.options import SimulatorOptions
from asleep_pipeline.simulator.webhooks import Webhooks
from asleep_pipeline.simulator.world import World


class RequestCounter(Counter[str]):
    """Requests received, by endpoint name; refused ones are counted too."""

    def reset(self) -> None:
        """Start again from 0."""
        self.clear()


class Simulation:
    """World, clock, faults, account, webhooks and counters, sharing one state.

    Args:
        options: What the world is made from.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self.clock = Clock(options.now)
        self.faults = Faults(seed=options.seed)
        self.world = World(options, self.clock, self.faults)
        self.account = Account(options.api_key, self.faults)
        self.webhooks = Webhooks(self.world, self.clock, self.faults, options.api_key)
        self.requests = RequestCounter()
        self.draws = Random(options.seed)

    def set_faults(self, faults: Faults) -> None:
        """Replace every fault and start the stream of shares again."""
        self.faults.become(faults)
        self.draws.seed(faults.seed)

    def reset(self) -> None:
        """Undo what clients did, switch every fault off, count from 0; the clock stays."""
        self.set_faults(Faults(seed=self.faults.seed))
        self.world.forget_changes()
        self.account.restart()
        self.requests.reset()
