"""Encryption of what people write before it goes to Redis, with keys that can change while the bot runs."""

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.domain.errors import StoreError

# In place of a key: the entries that are not encrypted. While encryption is being switched on or off, some still are.
PLAIN = "plain"
_NONCE_BYTES = 12  # drawn at random for each entry (NIST SP 800-38D, 8.2.2)
_MARK = b"\x01"  # starts an encrypted entry; a plain one is JSON and starts with a brace
# After the name of the key: the words before the bar are sealed as well. A version that does not know this looks for a
# key of this name, finds none, and leaves the entry to others.
_SEALED = b"+"


class WrongKey(ValueError):
    """A key that can't be used. The message says what a key must be, and never contains the key."""


class Unreadable(StoreError):
    """An entry encrypted with a key that we do not have, or changed by somebody, or of another version."""


class Encryption:
    """AES-GCM. The first key encrypts and every key decrypts; without keys texts stay as they are."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """`keys`: `name:key`, a name of letters and digits with 16, 24 or 32 bytes in base64. Beside keys, an entry
        that is not encrypted counts as forged, unless the word `plain` is among them; as the first, it stops the
        encryption. Raises WrongKey."""
        self._keys: dict[bytes, AESGCM] = {}
        self._accepts_plain = not keys or PLAIN in keys
        for each in keys:
            name, colon, key = each.partition(":")
            if each == PLAIN:
                continue
            if not (colon and len(name) <= 16 and name.isascii() and name.isalnum()):
                raise WrongKey("write a key as name:key, with a name of at most 16 letters and digits")
            try:
                cipher = AESGCM(base64.b64decode(key, validate=True))
            except (binascii.Error, ValueError):
                raise WrongKey(f"the key {name} must be 16, 24 or 32 random bytes in base64") from None
            if name.encode() in self._keys:
                raise WrongKey(f"two keys have the name {name}; give each a name of its own")
            self._keys[name.encode()] = cipher
        self._first = b"" if keys and keys[0] == PLAIN else next(iter(self._keys), b"")

    @property
    def encrypts(self) -> bool:
        """Whether new entries are encrypted."""
        return bool(self._first)

    @property
    def decrypts(self) -> bool:
        """Whether there are keys for encrypted entries."""
        return bool(self._keys)

    @property
    def accepts_plain(self) -> bool:
        """Whether entries that are not encrypted are read."""
        return self._accepts_plain

    def encrypt(self, text: bytes, place: str, words: bytes = b"") -> bytes:
        """Return the text as it is stored. It can be decrypted only for the same place and behind the same words."""
        if not self._first:
            return text
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = self._keys[self._first].encrypt(nonce, text, _bound_to(place, words))
        return b"".join((_MARK, self._first, _SEALED, b".", nonce, encrypted))

    def decrypt(self, stored: bytes, place: str, words: bytes = b"") -> bytes:
        """Reverse `encrypt`. Raises Unreadable."""
        if not stored.startswith(_MARK):
            if not self._accepts_plain:
                raise Unreadable("an entry is not encrypted: was it stored before there were keys?")
            return stored
        name, _, rest = stored[1:].partition(b".")
        # Without the mark, a version before this one stored it, which did not seal the words.
        bound = _bound_to(place, words) if name.endswith(_SEALED) else place.encode()
        name = name.removesuffix(_SEALED)
        if name not in self._keys:
            raise Unreadable(f"no key {name.decode('ascii', 'replace')[:20]} to decrypt an entry")
        try:
            return self._keys[name].decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):  # a nonce that is cut short raises ValueError
            raise Unreadable("an entry can't be decrypted") from None


def _bound_to(place: str, words: bytes) -> bytes:
    return place.encode() + b"\0" + words


NO_ENCRYPTION = Encryption()
