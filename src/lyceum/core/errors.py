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

from typing import ClassVar


class LyceumError(Exception):
    """The root; `hint` is a sentence that says what to do, `code` stays the same between releases."""

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(LyceumError):
    """The configuration or an installation is wrong."""

    default_code = "config"


class InvalidInput(LyceumError):
    """What was asked or sent cannot be used."""

    status = 400
    default_code = "invalid"


class TooLarge(LyceumError):
    """It is over a limit."""

    status = 413
    default_code = "too_large"


class NotFound(LyceumError):
    """No such thing, or not for this reader: the two look alike."""

    status = 404
    default_code = "not_found"


class Forbidden(LyceumError):
    """No valid token."""

    status = 401
    default_code = "forbidden"


class ParseError(LyceumError):
    """A file could not be read. Codes: empty, unsupported, mismatch, corrupt, password, limit, time, crash."""

    status = 422
    default_code = "corrupt"


class StoreError(LyceumError):
    """The ledger or its disk does not work."""

    status = 503
    default_code = "store"


class Busy(LyceumError):
    """Somebody else holds what is needed."""

    status = 503
    retryable = True
    default_code = "busy"


class ProviderError(LyceumError):
    """A model's server failed."""

    status = 502
    default_code = "provider"


class RateLimited(ProviderError):
    """The model's server asks to wait."""

    status = 429
    retryable = True
    default_code = "rate_limited"


class Timeout(ProviderError):
    """The model's server did not answer in time."""

    status = 504
    retryable = True
    default_code = "timeout"
