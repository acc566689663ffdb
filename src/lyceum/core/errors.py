"""Every error Lyceum raises on purpose; each says what to do now (`hint`) and has a stable `code`.

LyceumError
├── ConfigError      the configuration or an installation is wrong      500
├── InvalidInput     what was asked or sent cannot be used              400
├── TooLarge         it is over a limit                                 413
├── NotFound         no such thing, or not for this reader              404
├── Forbidden        no valid token                                     401
├── ParseError       a file could not be read; code says why            422
├── StoreError       the ledger or its disk does not work               503
├── Busy             somebody else holds what is needed                 503, retryable
└── ProviderError    a model's server failed                            502
    ├── RateLimited  it asks to wait                                    429, retryable
    └── Timeout      it did not answer in time                          504, retryable
"""

from __future__ import annotations

from typing import Any, ClassVar


class LyceumError(Exception):
    """The root; `hint` is a sentence that says what to do, `code` stays the same between releases."""

    class_status: ClassVar[int] = 500
    class_retryable: ClassVar[bool] = False
    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "", code: str = "", **more: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        # One failure may differ from its class: the status of a failed upload, a 500 that may pass.
        self.status: int = more.get("status", type(self).class_status)
        self.retryable: bool = more.get("retryable", type(self).class_retryable)
        self.wait: float | None = more.get("wait")

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(LyceumError):
    """The configuration or an installation is wrong."""

    default_code = "config"


class InvalidInput(LyceumError):
    """What was asked or sent cannot be used."""

    class_status = 400
    default_code = "invalid"


class TooLarge(LyceumError):
    """It is over a limit."""

    class_status = 413
    default_code = "too_large"


class NotFound(LyceumError):
    """No such thing, or not for this reader: the two look alike."""

    class_status = 404
    default_code = "not_found"


class Forbidden(LyceumError):
    """No valid token."""

    class_status = 401
    default_code = "forbidden"


class ParseError(LyceumError):
    """A file could not be read. Codes: empty, unsupported, mismatch, corrupt, password, limit, time, crash."""

    class_status = 422
    default_code = "corrupt"


class StoreError(LyceumError):
    """The ledger or its disk does not work. Codes: disk_full, read_only, disk_io, damaged, newer, foreign."""

    class_status = 503
    default_code = "store"


REBUILD = "rebuild"  # the code of a view that has dropped its files and starts again from the first change


class Busy(LyceumError):
    """Somebody else holds what is needed."""

    class_status = 503
    class_retryable = True
    default_code = "busy"


class ProviderError(LyceumError):
    """A model's server failed."""

    class_status = 502
    default_code = "provider"


class RateLimited(ProviderError):
    """The model's server asks to wait."""

    class_status = 429
    class_retryable = True
    default_code = "rate_limited"


class Timeout(ProviderError):
    """The model's server did not answer in time."""

    class_status = 504
    class_retryable = True
    default_code = "timeout"
