"""The files of PEP 3333: wsgi.input, wsgi.errors and what wsgi.file_wrapper makes."""

import io
import os
import stat
import sys

from portico_fastcgi import ABORT_REQUEST, HEADER, MAX_CONTENT, READ_SIZE, STDERR, STDIN, Gone


class Input(io.RawIOBase):
    """STDIN as it comes; a BufferedReader around it makes the file that PEP 3333 asks for."""

    def __init__(self, connection, request_id, content):
        self._connection = connection
        self._request_id = request_id
        self._content = content
        self._ended = False

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self._content and not self._ended:
            kind, request_id, content = self._connection.record()
            if request_id != self._request_id:
                continue
            if kind == ABORT_REQUEST:
                raise self._connection.left()
            if kind == STDIN:
                self._content = memoryview(content)
                self._ended = not content
        count = min(len(buffer), len(self._content))
        buffer[:count] = self._content[:count]
        self._content = self._content[count:]
        return count


def open_input(connection, request_id):
    """`wsgi.input`: most bodies have arrived whole with their request."""
    pieces = []
    while connection.has_record():
        kind, record_id, content = connection.record()
        if record_id != request_id:
            continue
        if kind == ABORT_REQUEST:
            raise connection.left()
        if kind == STDIN and not content:
            return io.BytesIO(b"".join(pieces))
        pieces.append(content)
    return io.BufferedReader(Input(connection, request_id, memoryview(b"".join(pieces))), READ_SIZE)


class Errors:
    """`wsgi.errors`: lines for the gateway's log, under the request's id. It never fails."""

    def __init__(self, connection, request_id):
        self._connection = connection
        self._request_id = request_id
        self._text = ""

    def write(self, text):
        self._text += text
        if "\n" in text:
            self.flush()
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        text, self._text = self._text, ""
        if not text:
            return
        data = text.encode("utf-8", "backslashreplace")
        try:
            if self._connection is None:
                raise Gone
            for start in range(0, len(data), MAX_CONTENT):
                piece = data[start : start + MAX_CONTENT]
                header = HEADER.pack(1, STDERR, self._request_id, len(piece), 0)
                self._connection.send(header + piece)
        except Gone:
            sys.stderr.write(text)
            sys.stderr.flush()

    def end(self):
        """The request is over; who still writes, writes to the process's own log."""
        self.flush()
        self._connection = None


class FileWrapper:
    """`wsgi.file_wrapper`."""

    def __init__(self, filelike, block_size=8192):
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.block_size)
        if data:
            return data
        raise StopIteration

    def region(self):
        """Descriptor, offset and size, if there is a file in the system behind it and nothing between."""
        raw = getattr(self.filelike, "raw", self.filelike)
        if type(raw) is not io.FileIO or type(self.filelike) not in FILE_TYPES:
            return None
        info = os.fstat(raw.fileno())
        if not stat.S_ISREG(info.st_mode):
            return None
        offset = self.filelike.tell()
        return raw.fileno(), offset, max(0, info.st_size - offset)


FILE_TYPES = (io.FileIO, io.BufferedReader, io.BufferedRandom)
