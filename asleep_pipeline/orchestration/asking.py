"""One step that asks the API: followed, counted, and told whether it ends well or early."""

from __future__ import annotations

from collections.abc import Iterator
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
class Asking:
    """A step under way.

    Attributes:
        clients: Whom it asks.
        crowd: How far it has got; None before the first user is done.
    """

    clients: Clients
    crowd: Crowd | None = None


class Follower:
    """Tells how far a step has got, and remembers it.

    Args:
        context: The step.
        platform: Of the deployment.
        title: What it does.
        asking: Where it is remembered.
    """

    def __init__(
        self, context: dg.AssetExecutionContext, platform: Platform, title: str, asking: Asking
    ) -> None:
        self._tell, self._asking = progress(context, platform, title), asking

    def __call__(self, crowd: Crowd) -> None:
        """Take a user who is done into account."""
        self._asking.crowd = crowd
        self._tell(crowd)


@contextmanager
def asking(
    context: dg.AssetExecutionContext, platform: Platform, lake: Lake, title: str
) -> Iterator[tuple[Clients, Follower]]:
    """Ask in the block; yields the clients, and whom to tell of each user who is done.

    Raises:
        Failure: In place of an error of this package, with what was done until then.
    """
    with explained():
        step = Asking(platform.clients(lake))
    asset = context.asset_key.to_user_string()
    file = metrics_file(platform.settings.data_dir)
    error_kind: str | None = None
    try:
        with explained(lambda: story.metadata_so_far(step.clients, step.crowd)):
            yield step.clients, Follower(context, platform, title, step)
    except BaseException as error:
        error_kind = type(error.__cause__ or error).__name__
        raise
    finally:
        if line := story.trouble_line(step.clients):
            context.log.warning("%s: %s", title, line)
        count(file, asset, step.clients, at=platform.clock(), error=error_kind)
