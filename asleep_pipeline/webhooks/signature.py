"""Signatures by Standard Webhooks, for those who relay events through a gateway of their own."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class Signature:
    """Checks signatures by one secret.

    Args:
        secret: `whsec_` and base64.
    """

    def __init__(self, secret: SecretStr) -> None:
        self._webhook = Webhook(secret.get_secret_value())

    def is_good(self, body: bytes, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a body was signed by the secret, no more than five minutes ago.

        Args:
            body: The body as it came.
            headers: Those that came exactly once, by their names in lower case.
        """
        try:
            signed = {name: headers[name.encode()].decode() for name in _HEADERS}
            self._webhook.verify(body, signed, json_parse=False)
        except (KeyError, ValueError, WebhookVerificationError):
            # The library lets through what base64, UTF-8 and splitting raise.
            return False
        return True
