"""The one error of this package: bytes or JSON that do not have the shape they must have."""


class WireError(ValueError):
    """Something that arrived does not have its documented shape; nothing was done with it.

    `code` is for programs (`malformed`, `wrong_version`, `trailing_bytes`, `too_large`, `not_canonical`,
    `unsupported_suite`), the text is one sentence for people and never holds more than the name of what was wrong.
    """

    def __init__(self, sentence: str, *, code: str = "malformed") -> None:
        super().__init__(sentence)
        self.code = code
