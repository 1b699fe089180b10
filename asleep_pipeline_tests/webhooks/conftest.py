"""A receiver on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asleep_pipeline.webhooks.serving import running
from asleep_pipeline_tests.webhooks.senders import Sender, a_deployment


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    """A receiver that the tests of a module share; each speaks of users of its own."""
    settings = a_deployment(tmp_path_factory.mktemp("receiver"))
    with running(settings) as receiver:
        yield Sender(receiver.base_url, settings)
