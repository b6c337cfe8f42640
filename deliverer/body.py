"""The body of a request, as libcurl reads it."""

import io

import pycurl


class Body(io.BytesIO):
    """Can be read twice and no more.

    Where a connection that was kept open ends without an answer, libcurl sends the request over
    another one. Once is right: the receiver may have closed the first one before it saw anything.
    By itself libcurl would go on up to five times, to a receiver that takes the request and ends.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.size = len(content)
        self._again = True

    def rewind(self, offset: int, origin: int) -> int:
        """Go back to be read again, and say in libcurl's way whether that may be."""
        if not self._again:
            return int(pycurl.SEEKFUNC_FAIL)
        self._again = False
        self.seek(offset, origin)
        return int(pycurl.SEEKFUNC_OK)
