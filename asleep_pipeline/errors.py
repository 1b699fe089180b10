"""The one exception tree.

```
AsleepPipelineError
├── UsageError            an argument cannot be used as given                    exit code 2
│   └── ConflictError     it goes against what is there already                 exit code 2
├── ConfigurationError    a setting, the key, or the roster must change first    exit code 3
├── LakeError             the lake cannot be opened, read or written             exit code 1
├── WarehouseError        the published file cannot be built or read             exit code 1
├── InboxError            the inbox of webhooks cannot be opened, read or written   exit code 1
├── AccessError           who may ask cannot be read or written                 exit code 1
├── ErasureError          a person cannot be erased, or a receipt does not hold    exit code 1
├── AuditError            the audit log is not as it was written                exit code 1
└── AsleepError           everything the Asleep API can do to us, see `asleep_pipeline.asleep.errors`
```

Every error says what is wrong, with the value, and what to do about it. None ever holds a secret.
"""

from __future__ import annotations

from typing import ClassVar


class AsleepPipelineError(Exception):
    """Anything this package raises on purpose.

    Args:
        problem: What is wrong, naming the thing and the value, as one sentence.
        fix: What the reader can do about it, as one sentence; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, *, fix: str = "") -> None:
        super().__init__(f"{problem} {fix}".strip())
        self.problem = problem
        self.fix = fix


class UsageError(AsleepPipelineError):
    """An argument cannot be used as given."""

    exit_code = 2


class ConflictError(UsageError):
    """An argument goes against what is there already."""


class ConfigurationError(AsleepPipelineError):
    """A setting, the API key, or the roster must change before this can work."""

    exit_code = 3


class LakeError(AsleepPipelineError):
    """The lake cannot be opened, read or written."""


class WarehouseError(AsleepPipelineError):
    """The published warehouse file cannot be built or read."""


class InboxError(AsleepPipelineError):
    """The inbox of webhooks cannot be opened, read or written."""


class AuditError(AsleepPipelineError):
    """The audit log is not as it was written."""


class AccessError(AsleepPipelineError):
    """The control database (organisations, members, tokens) or the secret cannot be read or written."""


class ErasureError(AsleepPipelineError):
    """A person cannot be erased just now, or what tells of it cannot be used."""
