"""The key that hashes personal data: HMAC-SHA-256 (RFC 2104), the same in Python and in DuckDB."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import Any

from assay.core.fault import MISUSED, Fault

VARIABLE = "ASSAY_PII_KEY"
_LEAST_LENGTH = 32
_BLOCK = hashlib.sha256().block_size
_FINGERPRINT_OF = b"assay: which key is this?"


@dataclass(frozen=True, repr=False)
class PiiKey:
    """A key. Its `repr` does not show it, and it is never written anywhere."""

    secret: bytes

    def hashed(self, value: str) -> str:
        """Return the hash of a value, as 64 hexadecimal digits."""
        return hmac.digest(self.secret, value.encode(), hashlib.sha256).hex()

    @property
    def fingerprint(self) -> str:
        """A hash that identifies this key without disclosing it."""
        return hmac.digest(self.secret, _FINGERPRINT_OF, hashlib.sha256).hex()[:16]

    @property
    def pads(self) -> tuple[bytes, bytes]:
        """The inner and outer block that HMAC prepends to its input."""
        secret = self.secret if len(self.secret) <= _BLOCK else hashlib.sha256(self.secret).digest()
        padded = secret.ljust(_BLOCK, b"\0")
        return bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)

    def set_variables(self, cursor: Any) -> None:
        """Set the variables of a session of DuckDB by which SQL hashes personal data."""
        inner, outer = self.pads
        cursor.execute(f"set variable pii_inner = unhex('{inner.hex()}')")
        cursor.execute(f"set variable pii_outer = unhex('{outer.hex()}')")
        cursor.execute(f"set variable pii_fingerprint = '{self.fingerprint}'")


def find_pii_key() -> PiiKey | None:
    """Return the key in the environment variable ASSAY_PII_KEY; None if it is not set.

    Raises:
        Fault: the key is so short that somebody could guess it, and then try all card numbers.
    """
    secret = os.environ.get(VARIABLE, "")
    if not secret:
        return None
    if len(secret) < _LEAST_LENGTH:
        raise Fault(
            f"{VARIABLE} has {len(secret)} characters: it takes {_LEAST_LENGTH} or more, such as those of "
            "python3 -c 'import secrets; print(secrets.token_hex(32))'.",
            MISUSED,
        )
    # A variable may hold bytes that are no text.
    return PiiKey(secret.encode(errors="surrogateescape"))
