"""Encryption of what people write before it goes to Redis, with keys that can change while the bot runs."""

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.domain.errors import StoreError

_NONCE_BYTES = 12  # drawn at random for each entry (NIST SP 800-38D, 8.2.2)
_MARK = b"\x01"  # starts an encrypted entry; a plain one is JSON and starts with a brace


class WrongKey(ValueError):
    """A key that can't be used. The message says what a key must be, and never contains the key."""


class Unreadable(StoreError):
    """An entry encrypted with a key that we do not have, or changed by somebody."""


class Encryption:
    """AES-GCM. The first key encrypts and every key decrypts; without keys texts stay as they are."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """`keys`: `name:key`, a name of letters and digits with 16, 24 or 32 bytes in base64. Raises WrongKey."""
        self._keys: dict[bytes, AESGCM] = {}
        for each in keys:
            name, colon, key = each.partition(":")
            if not (colon and len(name) <= 16 and name.isascii() and name.isalnum()):
                raise WrongKey("write a key as name:key, with a name of at most 16 letters and digits")
            try:
                cipher = AESGCM(base64.b64decode(key, validate=True))
            except (binascii.Error, ValueError):
                raise WrongKey(f"the key {name} must be 16, 24 or 32 random bytes in base64") from None
            if name.encode() in self._keys:
                raise WrongKey(f"two keys have the name {name}; give each a name of its own")
            self._keys[name.encode()] = cipher
        self._first = next(iter(self._keys), b"")

    def encrypt(self, text: bytes, place: str) -> bytes:
        """Return the text as it is stored. It can be decrypted only for the same place."""
        if not self._first:
            return text
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = self._keys[self._first].encrypt(nonce, text, place.encode())
        return b"".join((_MARK, self._first, b".", nonce, encrypted))

    def decrypt(self, stored: bytes, place: str) -> bytes:
        """Reverse `encrypt`; text stored before there were keys comes back as it is. Raises Unreadable."""
        if not stored.startswith(_MARK):
            return stored
        name, _, rest = stored[1:].partition(b".")
        if name not in self._keys:
            raise Unreadable(f"no key {name.decode('ascii', 'replace')[:20]} to decrypt an entry")
        try:
            return self._keys[name].decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):  # a nonce that is cut short raises ValueError
            raise Unreadable("an entry can't be decrypted") from None


NO_ENCRYPTION = Encryption()
