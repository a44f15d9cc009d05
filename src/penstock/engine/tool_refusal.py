"""ToolRefusal: a tool call without a result, as events and as the model get to know it."""


class ToolRefusal(Exception):
    """No result: `code` and `fact` are for events, `text` is what the model reads."""

    def __init__(self, code: str, fact: str, text: str | None = None) -> None:
        super().__init__(fact)
        self.code, self.fact, self.text = code, fact, text or fact
