"""The HTTP API: users, sessions, statistics and a proxy, for the apps of organisations.

It reads the published file only, through the views of one organisation (`tenants`); what it changes
goes through the client, the roster and `privacy`.
"""

from typing import Final

DEFAULT_PORT: Final = 8700
"""Where it is served unless told otherwise."""
