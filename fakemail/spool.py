"""A buffer for received data of any size: in memory while it is small, then in an unnamed temporary file.

Used for listings, which have no pages: a million ids are one answer of tens of megabytes. transport.py creates and
fills it, and listing.py may read it repeatedly.
"""

import os
import tempfile
import weakref

MEMORY_BYTES = 256 * 1024


class Spool:
    """An append-only buffer, readable at any offset. Raises OSError if its file cannot grow; the file ends with it."""

    def __init__(self) -> None:
        self._memory: bytearray | None = bytearray()
        self._file = -1
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def extend(self, data: bytes | bytearray) -> None:
        """Append data."""
        self._size += len(data)
        if self._memory is not None:
            self._memory += data
            if len(self._memory) <= MEMORY_BYTES:
                return
            data, self._memory = self._memory, None
            self._file = _unnamed()
            weakref.finalize(self, os.close, self._file)
        while data:
            data = data[os.write(self._file, data) :]

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset` on; b"" at the end."""
        if self._memory is not None:
            return bytes(self._memory[offset : offset + size])
        return os.pread(self._file, size, offset)


def _unnamed() -> int:
    with tempfile.TemporaryFile(prefix="email-processor-", buffering=0) as file:
        return os.dup(file.fileno())
