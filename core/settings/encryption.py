"""Seal: what people wrote, encrypted before it goes to Redis, with keys that can be changed while the bot runs."""

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.domain.errors import StoreError

_NONCE = 12  # bytes, drawn at random for each entry (NIST SP 800-38D, 8.2.2)
_MARK = b"\x01"  # before a sealed entry; an open one is JSON and begins with a brace


class WrongKey(ValueError):
    """A key that can't be used; the message is a sentence that says what it must be, and never holds the key."""


class Unreadable(StoreError):
    """An entry that was sealed with a key which we do not have, or that was changed by somebody."""


class Encryption:
    """AES-GCM. The first key seals, each of them opens; without keys nothing is sealed."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """`keys`: `name:key` with a name of letters and digits, and 16, 24 or 32 bytes in base64. Raises WrongKey."""
        self._keys: dict[bytes, AESGCM] = {}
        for each in keys:
            name, colon, key = each.partition(":")
            if not (colon and len(name) <= 16 and name.isascii() and name.isalnum()):
                raise WrongKey("a key is written as name:key, and its name is made of letters and digits")
            try:
                cipher = AESGCM(base64.b64decode(key, validate=True))
            except (binascii.Error, ValueError):
                raise WrongKey(f"the key {name} must be 16, 24 or 32 random bytes in base64") from None
            if name.encode() in self._keys:
                raise WrongKey(f"there are two keys with the name {name}")
            self._keys[name.encode()] = cipher
        self._first = next(iter(self._keys), b"")

    def close(self, text: bytes, place: str) -> bytes:
        """The text as it is stored. It can be opened only for the same place."""
        if not self._first:
            return text
        nonce = os.urandom(_NONCE)
        sealed = self._keys[self._first].encrypt(nonce, text, place.encode())
        return b"".join((_MARK, self._first, b".", nonce, sealed))

    def open(self, stored: bytes, place: str) -> bytes:
        """The reverse of `close`; what was stored before there were keys is taken as it is. Raises Unreadable."""
        if not stored.startswith(_MARK):
            return stored
        name, _, rest = stored[1:].partition(b".")
        if name not in self._keys:
            raise Unreadable(f"no key {name.decode('ascii', 'replace')[:20]} to open an entry with")
        try:
            return self._keys[name].decrypt(rest[:_NONCE], rest[_NONCE:], place.encode())
        except (InvalidTag, ValueError):  # a nonce cut short is a ValueError
            raise Unreadable("an entry can't be opened") from None


NO_ENCRYPTION = Encryption()
