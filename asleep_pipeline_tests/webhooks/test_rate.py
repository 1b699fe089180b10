"""How many events a key may send."""

from __future__ import annotations

from pathlib import Path

from asleep_pipeline.webhooks.rate import EventRates
from asleep_pipeline.webhooks.serving import running
from asleep_pipeline_tests.webhooks.senders import ACME_KEY, Sender, a_deployment, a_user, event


def test_a_key_may_send_so_many_a_second() -> None:
    """A burst of a second's worth is taken, and then as many as fit into the time."""
    now_ms = [1_000]
    rates = EventRates(5, lambda: now_ms[0])
    assert [rates.is_allowed("acme") for _ in range(7)] == [True] * 5 + [False] * 2
    now_ms[0] += 400
    assert [rates.is_allowed("acme") for _ in range(3)] == [True, True, False]
    now_ms[0] += 3_600_000
    assert [rates.is_allowed("acme") for _ in range(6)] == [True] * 5 + [False]


def test_one_key_does_not_use_up_anothers() -> None:
    """A noisy organisation shuts nobody else out."""
    rates = EventRates(1, lambda: 0)
    assert rates.is_allowed("acme")
    assert not rates.is_allowed("acme")
    assert rates.is_allowed("duo")


def test_too_many_are_answered_429(tmp_path: Path) -> None:
    """Who sends too fast is told when to come again, and other keys go on."""
    settings = a_deployment(tmp_path, webhook_events_per_second=1)
    user_id = a_user()
    with running(settings) as receiver:
        sender = Sender(receiver.base_url, settings)
        replies = (sender.post(event(user_id), user_id) for _ in range(1_000))
        refused = next(reply for reply in replies if reply.status != 200)
        other = sender.post(event(user_id), user_id, key=ACME_KEY)
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    assert other.status == 200
