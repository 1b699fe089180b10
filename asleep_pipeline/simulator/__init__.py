"""The Asleep API on 127.0.0.1, with a believable population and faults on request.

```python
with running(SimulatorOptions(people=24, seed=7)) as sim:
    print(sim.base_url, sim.api_key)
    truth = sim.world.sessions(sim.world.people[0].user_id, start, end)
```
"""

from __future__ import annotations

from asleep_pipeline.simulator.clock import Clock
from asleep_pipeline.simulator.faults import Faults
from asleep_pipeline.simulator.options import SimulatorOptions
from asleep_pipeline.simulator.people import Person
from asleep_pipeline.simulator.running import RunningSimulator, running, serve
from asleep_pipeline.simulator.webhooks import Delivery
from asleep_pipeline.simulator.world import World

__all__ = [
    "Clock",
    "Delivery",
    "Faults",
    "Person",
    "RunningSimulator",
    "SimulatorOptions",
    "World",
    "running",
    "serve",
]
