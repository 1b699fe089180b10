"""Signatures by Standard Webhooks."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from asleep_pipeline.webhooks.serving import running
from asleep_pipeline.webhooks.signature import Signature
from asleep_pipeline_tests.webhooks.senders import Sender, a_deployment, a_user, event

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + b64encode(bytes(range(32, 64))).decode()
BODY = b'{"event":"X"}'


def signed(
    body: bytes = BODY, *, secret: str = SECRET, ago: timedelta = timedelta()
) -> dict[bytes, bytes]:
    """The headers of a signature."""
    at = datetime.now(UTC) - ago
    signature = Webhook(secret).sign("msg_1", at, body.decode())
    return {
        b"webhook-id": b"msg_1",
        b"webhook-timestamp": str(int(at.timestamp())).encode(),
        b"webhook-signature": signature.encode(),
    }


def is_good(headers: dict[bytes, bytes], body: bytes = BODY) -> bool:
    """Whether our secret's signature is on it."""
    return Signature(SecretStr(SECRET)).is_good(body, headers)


def test_what_was_signed_by_the_secret_is_good() -> None:
    """A gateway that signs as Standard Webhooks say is believed."""
    assert is_good(signed())


def test_one_good_signature_among_several_is_enough() -> None:
    """A gateway may sign by its old and its new secret while it changes them."""
    both = signed(secret=OTHER)[b"webhook-signature"] + b" " + signed()[b"webhook-signature"]
    assert is_good(signed() | {b"webhook-signature": both})


def test_a_changed_body_is_not() -> None:
    """Nobody on the way can change what was said."""
    assert not is_good(signed(), BODY.replace(b"X", b"Y"))


@pytest.mark.parametrize("ago", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_an_old_signature_is_not(ago: timedelta) -> None:
    """What was recorded on the way cannot be sent again later."""
    assert not is_good(signed(ago=ago))


@pytest.mark.parametrize("name", [b"webhook-id", b"webhook-timestamp", b"webhook-signature"])
@pytest.mark.parametrize(
    "value", [b"", b"nonsense", b"v1", b"v1,\xff", b"v1,a", b"v1,=,=", b"nan", b"1e999", None]
)
def test_nonsense_is_not(name: bytes, value: bytes | None) -> None:
    """Whatever stands in the headers, it is refused and nothing breaks."""
    headers = {n: v for n, v in (signed() | {name: value}).items() if v is not None}
    assert not is_good(headers)


def test_another_secrets_signature_is_not() -> None:
    """Who does not know the secret cannot sign."""
    assert not is_good(signed(secret=OTHER))


def test_a_receiver_with_a_secret_wants_signatures(tmp_path: Path) -> None:
    """Then the key alone is not enough, and a header that comes twice is as good as none."""
    settings = a_deployment(tmp_path, webhook_signing_secret=SECRET)
    user_id = a_user()
    body = event(user_id)
    headers = [(name.decode(), value) for name, value in signed(body).items()]
    with running(settings) as receiver:
        sender = Sender(receiver.base_url, settings)
        replies = [
            sender.post(body, user_id, more=more) for more in ([], [*headers, headers[0]], headers)
        ]
    assert [reply.status for reply in replies] == [401, 401, 200]
    assert "www-authenticate" in replies[0].headers
