"""GrowingText: a text that grows by one piece after the other, without a copy of all of it for each piece."""


class GrowingText:
    """One state of a text. Longer states share its pieces; reading it joins them once.

    All states of one text are on one loop. Only the longest of them can be extended without a copy.
    """

    __slots__ = ("_count", "_pieces", "length")

    def __init__(self, text: str = "") -> None:
        self._pieces = [text]
        self._count = 1  # how many of the pieces belong to this state
        self.length = len(text)

    def plus(self, more: str) -> "GrowingText":
        """The text with one more piece."""
        if not self.length or not more:
            return self if not more else GrowingText(more)
        longer = GrowingText.__new__(GrowingText)
        if self._count != len(self._pieces):
            self._pieces = [str(self)]
            self._count = 1
        self._pieces.append(more)
        longer._pieces, longer._count, longer.length = self._pieces, self._count + 1, self.length + len(more)
        return longer

    def __str__(self) -> str:
        if self._count > 1:
            self._pieces, self._count = ["".join(self._pieces[: self._count])], 1
        return self._pieces[0]

    def __len__(self) -> int:
        return self.length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GrowingText) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))
