"""One step that asks the API: followed, counted, and told whether it ends well or early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.extract.crowd import Crowd
from asleep_pipeline.lake import Lake
from asleep_pipeline.metrics import count, metrics_file
from asleep_pipeline.orchestration import story
from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.orchestration.telling import progress


@dataclass(slots=True)
class Follower:
    """Tells how far a step has got, and remembers it.

    Attributes:
        tell: Whom.
        crowd: How far it has got; None before the first user is done.
    """

    tell: Callable[[Crowd], None]
    crowd: Crowd | None = None

    def __call__(self, crowd: Crowd) -> None:
        """Take a user who is done into account."""
        self.crowd = crowd
        self.tell(crowd)


@contextmanager
def asking(
    context: dg.AssetExecutionContext, platform: Platform, lake: Lake, title: str
) -> Iterator[tuple[Clients, Follower]]:
    """Ask in the block; yields the clients, and whom to tell of each user who is done.

    Raises:
        Failure: In place of an error of this package, with what was done until then.
    """
    with explained():
        clients = platform.clients(lake)
    follower = Follower(progress(context, platform, title))
    asset = context.asset_key.to_user_string()
    file = metrics_file(platform.settings.data_dir)
    error_kind: str | None = None
    try:
        with explained(lambda: story.metadata_so_far(clients, follower.crowd)):
            yield clients, follower
    except BaseException as error:
        error_kind = type(error.__cause__ or error).__name__
        raise
    finally:
        if line := story.trouble_line(clients):
            context.log.warning("%s: %s", title, line)
        count(file, asset, clients, at=platform.clock(), error=error_kind)
