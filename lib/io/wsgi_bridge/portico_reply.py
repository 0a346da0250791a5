"""One call of the application by PEP 3333, and what goes back for it.

A reply that went wrong after its head was sent ends with the connection and without END_REQUEST, so that
nobody takes it for whole.
"""

import os
import re
import traceback

from portico_fastcgi import (
    FILE_CONTENT, HEADER, MAX_CONTENT, REQUEST_COMPLETE, SHORT, STDOUT, Gone, end_request,
)
from portico_streams import FileWrapper

HOP_BY_HOP = frozenset((
    "connection keep-alive proxy-authenticate proxy-authorization te trailer trailers "
    "transfer-encoding upgrade"
).split())
CONTROL = re.compile("[\0-\x1f\x7f]")
STATUS = re.compile(r"[2-5]\d\d(?: .*)?", re.DOTALL)
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Names that were looked at before, in lower case; bounded, for an application may make them up.
NAMES = {}


def checked_name(name):
    if type(name) is not str:
        raise TypeError("start_response(): the name of a header must be a str, not %r" % (name,))
    if TOKEN.fullmatch(name) is None:
        raise ValueError("start_response(): %r is no name of a header" % name)
    lower = name.lower()
    if lower in HOP_BY_HOP or lower == "status":
        raise ValueError("start_response(): the header %s is the server's own" % name)
    if len(NAMES) < 1024:
        NAMES[name] = lower
    return lower


def checked_text(what, text):
    if type(text) is not str:
        raise TypeError("start_response(): %s must be a str, not %r" % (what, text))
    if CONTROL.search(text):
        raise ValueError("start_response(): a control character is in %s: %r" % (what, text))
    text.encode("latin-1")


class Reply:
    """What goes back for one request: start_response, write, and the body's pieces."""

    # Whether pages of failures show tracebacks.
    explains = False

    def __init__(self, connection, request_id, is_head):
        self.connection = connection
        self.request_id = request_id
        self.errors = None
        # Nothing more is to come: HEAD has its head, or the promised length is reached.
        self.over = False
        self.head_sent = False
        self._is_head = is_head
        self._bodiless = is_head
        self._started = False
        self._head = None
        self._length = None
        self._sent = 0
        self._rest = b""

    def start_response(self, status, headers, exc_info=None):
        try:
            if exc_info:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            elif self._started:
                raise AssertionError("start_response() was called again without exc_info")
        finally:
            exc_info = None
        self._started = True
        checked_text("the status", status)
        if STATUS.fullmatch(status) is None:
            raise ValueError("start_response(): %r is no status such as '200 OK'" % status)
        if type(headers) is not list:
            raise TypeError("start_response(): headers must be a list, not %r" % (headers,))
        self._bodiless = self._is_head or status[:3] in ("204", "304")
        self._length = None
        lines = ["Status: ", status]
        for item in headers:
            if type(item) is not tuple or len(item) != 2:
                raise TypeError("start_response(): a header must be a (name, value), not %r" % (item,))
            name, value = item
            if type(value) is not str or not (value.isascii() and value.isprintable()):
                checked_text("the header %s" % (name,), value)
            if (NAMES.get(name) or checked_name(name)) == "content-length":
                self._promise(value)
            lines += ("\r\n", name, ": ", value)
        self._head = "".join(lines)
        return self.write

    def _promise(self, value):
        if not (value.isascii() and value.isdigit()) or self._length not in (None, int(value)):
            raise ValueError("start_response(): cannot promise the Content-Length %r" % value)
        self._length = int(value)

    def _take_head(self, length=None):
        """The head's bytes, once; with the body's length if it is known and was not said."""
        if self._head is None:
            raise AssertionError("start_response() was not called")
        self.head_sent = True
        if self._length is not None or length is None or (self._bodiless and not self._is_head):
            return (self._head + "\r\n\r\n").encode("latin-1")
        return ("%s\r\nContent-Length: %d\r\n\r\n" % (self._head, length)).encode("latin-1")

    def write(self, data):
        if not isinstance(data, bytes):
            raise TypeError("write(): the body must be bytes, not %r" % type(data).__name__)
        if self.errors is None:
            raise AssertionError("write() was called after the end of the request")
        if data or not self.head_sent:
            self._emit(self._take_head() if not self.head_sent else b"", self._within(data))

    def piece(self, data):
        """One of those that the application yields: sent at once, unless it is empty."""
        if not isinstance(data, bytes):
            raise TypeError("The application must yield bytes, not %s" % type(data).__name__)
        if data:
            self._emit(self._take_head() if not self.head_sent else b"", self._within(data))
        elif self.connection.is_gone():
            raise self.connection.left()
        return not self.over

    def whole(self, pieces):
        """All of the body at once; it leaves with the end."""
        for data in pieces:
            if not isinstance(data, bytes):
                raise TypeError("The application must return bytes, not %s" % type(data).__name__)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        head = b""
        if not self.head_sent:
            head = self._take_head(len(data) if data or not self._is_head else None)
        data = self._within(data)
        if len(head) + len(data) <= SHORT:
            self._rest = head + data
        else:
            self._emit(head, data)

    def file(self, wrapper):
        """The fast way for a file; False: there is none."""
        region = wrapper.region()
        if region is None or self._head is None:
            return False
        fd, offset, count = region
        if self._length is not None:
            count = min(count, self._length - self._sent)
        head = b"" if self.head_sent else self._take_head(count)
        if self._bodiless or count <= SHORT:
            data = b"" if self._bodiless else os.pread(fd, count, offset)
            self._sent += len(data)
            self._rest = head + data
            return True
        self._emit(head, b"")
        self._sent += count
        for start in range(offset, offset + count, FILE_CONTENT):
            size = min(FILE_CONTENT, offset + count - start)
            header = HEADER.pack(1, STDOUT, self.request_id, size, 0)
            self.connection.send_file(header, fd, start, size)
        return True

    def _within(self, data):
        """The part of a piece that may be sent."""
        self.over = self._is_head
        if self._length is not None and not self._bodiless:
            room = self._length - self._sent
            if len(data) > room:
                message = "The body exceeds its Content-Length %d: cut\n" % self._length
                self.errors.write(message)
                data = data[:room]
                self.over = True
        self._sent += len(data)
        return b"" if self._bodiless else data

    def _emit(self, head, data):
        header, request_id = HEADER.pack, self.request_id
        if self._sent == self._length and len(head) + len(data) <= SHORT:
            data = head + data
            self.connection.hold(header(1, STDOUT, request_id, len(data), 0) + data)
            return
        if head and len(data) > SHORT:
            self.connection.send(header(1, STDOUT, request_id, len(head), 0) + head)
            head = b""
        if len(data) <= SHORT:
            data = head + data
            if data:
                for start in range(0, len(data), MAX_CONTENT):
                    part = data[start : start + MAX_CONTENT]
                    self.connection.send(header(1, STDOUT, request_id, len(part), 0) + part)
            return
        view = memoryview(data)
        for start in range(0, len(view), MAX_CONTENT):
            part = view[start : start + MAX_CONTENT]
            self.connection.send(header(1, STDOUT, request_id, len(part), 0), part)

    def finish(self):
        """The end of a reply that is whole, with what has not left yet."""
        rest = self._rest if self.head_sent else self._take_head(None if self._is_head else 0)
        self.errors.end()
        parts = []
        for start in range(0, len(rest), MAX_CONTENT):
            part = rest[start : start + MAX_CONTENT]
            parts += (HEADER.pack(1, STDOUT, self.request_id, len(part), 0), part)
        parts.append(HEADER.pack(1, STDOUT, self.request_id, 0, 0))
        parts.append(end_request(self.request_id, REQUEST_COMPLETE))
        self.connection.send(b"".join(parts))

    def fail(self, error):
        """The answer to an exception; the gateway makes a page of it."""
        self._length, self._bodiless, self._started = None, False, True
        summary = "".join(traceback.format_exception_only(type(error), error)).strip()
        summary = CONTROL.sub(" ", summary)[:500].encode("latin-1", "backslashreplace")
        text = explain(error)[-SHORT:].encode("utf-8", "backslashreplace") if self.explains else b""
        fields = b"Status: 500 Internal Server Error\r\nPortico-Fault: %s\r\nContent-Length: %d\r\n\r\n"
        self._rest = fields % (summary, len(text)) + text
        self.head_sent = True
        self.finish()


def explain(error):
    """A traceback without the frames of this file and of the import system."""
    told = one = traceback.TracebackException(type(error), error, error.__traceback__)
    own = (os.path.dirname(explain.__code__.co_filename), "<frozen importlib")
    while one is not None:
        one.stack[:] = [frame for frame in one.stack if not frame.filename.startswith(own)]
        one = one.__cause__ or one.__context__
    return "".join(told.format())


def respond(application, reply, environ):
    """Calls the application and sends what it answers. False: the connection is of no more use."""
    connection, errors = reply.connection, reply.errors
    result = None
    try:
        try:
            result = application(environ, reply.start_response)
            if type(result) in (list, tuple):
                reply.whole(result)
            elif isinstance(result, (str, bytes, bytearray)):
                raise TypeError("The application must return an iterable of bytes, not bytes or text")
            elif type(result) is not FileWrapper or not reply.file(result):
                for data in result:
                    if not reply.piece(data):
                        break
        finally:
            close_result(result, errors)
        reply.finish()
        return True
    except Gone:
        return False
    except BaseException as error:
        # Whatever the application made of it: it only learnt that nobody listens any more.
        if connection.gone:
            return False
        return report(reply, error)
    finally:
        errors.end()
        reply.errors = None


def report(reply, error):
    try:
        reply.errors.write(explain(error))
        if reply.head_sent:
            reply.connection.flush()
            return False
        reply.fail(error)
        return True
    except Gone:
        return False


def close_result(result, errors):
    try:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    except Gone:
        pass
    except BaseException as error:
        errors.write("close() of what the application returned failed: " + explain(error))
