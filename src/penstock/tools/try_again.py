"""TryAgain: how a tool says that a moment later it may go well."""


class TryAgain(Exception):
    """Raised by a tool for a network fault or a rate limit: the call may be made again.

    `retry_after_s` is what the far side asks to wait for, in seconds; None = it does not say. Python's own
    `ConnectionError` and `TimeoutError` say the same without it.
    """

    def __init__(self, what: str, retry_after_s: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


def is_retryable(error: BaseException) -> bool:
    """Whether the error says that the call may be made again."""
    return isinstance(error, (TryAgain, ConnectionError, TimeoutError))


def retry_after_s(error: BaseException) -> float | None:
    """How long the far side asks to wait for, in seconds, as far as the error says."""
    seconds = error.retry_after_s if isinstance(error, TryAgain) else None
    return float(seconds) if isinstance(seconds, (int, float)) and seconds >= 0 else None
