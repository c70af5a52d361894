"""Encrypt texts that other programs keep: names, which are looked up, and values, which belong to a name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from assay.core.encryption import EncryptionKey
from assay.core.fault import extra_needed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

_NONCE_BYTES = 12


@dataclass(frozen=True)
class Seal:
    """Encrypts names and values with a key.

    A name is encrypted by AES-SIV, which makes the same bytes of the same name each time: so it is looked up
    as quickly as a plain one, and can be read back. A value is encrypted by AES-GCM, bound to what it belongs
    to, so nobody can give it to something else.

    Args:
        key: the key, from which others are derived.
        kind: what keeps the texts, such as `online stores`. What is of one kind cannot be read as another.
    """

    key: EncryptionKey
    kind: str

    def seal_name(self, name: bytes, bound: bytes) -> bytes:
        """Return an encrypted name.

        Args:
            name: the name.
            bound: what it belongs to, and is not read without.

        Raises:
            Fault: the extra that encrypts is not installed.
        """
        # The cipher takes no empty text.
        return self._of_names.encrypt(b"=" + name, [bound])

    def open_name(self, sealed: bytes, bound: bytes) -> bytes:
        """Return a name that was encrypted with what it belongs to.

        Raises:
            ValueError: it was changed, or belongs to something else.
            Fault: the extra that encrypts is not installed.
        """
        with extra_needed("encryption", by=self._named):
            from cryptography.exceptions import InvalidTag
        try:
            return self._of_names.decrypt(sealed, [bound])[1:]
        except InvalidTag as error:
            raise ValueError("This name was changed, or belongs to something else.") from error

    def seal_value(self, value: bytes, bound: bytes) -> bytes:
        """Return an encrypted value; see `seal_name`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._of_values.encrypt(nonce, value, bound)

    def open_value(self, sealed: bytes, bound: bytes) -> bytes:
        """Return a value that was encrypted with what it belongs to; see `open_name`."""
        with extra_needed("encryption", by=self._named):
            from cryptography.exceptions import InvalidTag
        try:
            return self._of_values.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
        except InvalidTag as error:
            raise ValueError("This value was changed, or belongs to something else.") from error

    @property
    def _named(self) -> str:
        return f"Encryption of {self.kind}"

    @cached_property
    def _of_names(self) -> AESSIV:
        with extra_needed("encryption", by=self._named):
            from cryptography.hazmat.primitives.ciphers.aead import AESSIV
        return AESSIV(self._derive("keys") + self._derive("authentic keys"))

    @cached_property
    def _of_values(self) -> AESGCM:
        with extra_needed("encryption", by=self._named):
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        return AESGCM(self._derive("values"))

    def _derive(self, what: str) -> bytes:
        return self.key.derive(f"assay: {what} of {self.kind}".encode())
