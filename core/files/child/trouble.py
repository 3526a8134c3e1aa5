"""The one way in which a reader gives up."""

from core.files.kinds import Trouble


class UnreadableFile(Exception):
    """The file can't be read."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble
