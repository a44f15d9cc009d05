"""Server-sent events, read as their bytes come: the `data` of each, and nothing else of it."""

from collections.abc import Iterator

EVENT_BYTES = 1024 * 1024
"""Most bytes of one event."""


class EventTooLong(Exception):
    """An event is longer than `EVENT_BYTES`."""


class EventData:
    """Puts events together; bytes may come cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0

    def take(self, data: bytes) -> Iterator[bytes]:
        """The data of each event that is whole now; raises `EventTooLong`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._lines.append(line[5:].strip(b" \r"))
                self._size += len(line)
            elif line in (b"", b"\r") and self._lines:
                yield self._whole()
            if self._size > EVENT_BYTES:
                raise EventTooLong
        if self._size + len(self._rest) > EVENT_BYTES:
            raise EventTooLong

    def end(self) -> Iterator[bytes]:
        """The data of a last event that no empty line ends."""
        yield from self.take(b"\n\n")

    def _whole(self) -> bytes:
        lines, self._lines, self._size = self._lines, [], 0
        return lines[0] if len(lines) == 1 else b"\n".join(lines)
