"""FastCGI 1.0 as an application speaks it: records in and out of one connection, requests one by one.

Numbers of sections are the specification's.
"""

import errno
import math
import os
import select
import socket
import struct
import threading
import time

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
REQUEST_COMPLETE, CANT_MPX_CONN, UNKNOWN_ROLE = 0, 1, 3
RESPONDER = 1

# Version, type, request id, length of the content, of the padding (3.3).
HEADER = struct.Struct(">BBHHBx")
BEGIN_BODY = struct.Struct(">HB5x")
LONG = struct.Struct(">I")
MAX_CONTENT = 65535
READ_SIZE = 65536
# Content of a record that is a file's: whole pages.
FILE_CONTENT = 61440
# Pieces up to this size are copied together with what goes around them.
SHORT = 16384


class Gone(ConnectionError):
    """The gateway has closed the connection: the client left, or a time ran out."""


class Connection:
    """Records in and out. Sending is for any thread."""

    # How many there may be.
    at_once = 1

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.position = 0
        self.gone = False
        self._lock = threading.Lock()
        self._poll = None
        self._held = b""
        self._held_at = 0.0

    def has_record(self):
        start = self.position + 8
        if len(self.buffer) < start:
            return False
        _, _, _, length, padding = HEADER.unpack_from(self.buffer, self.position)
        return len(self.buffer) >= start + length + padding

    def record(self):
        """The next record: its type, request id and content."""
        while not self.has_record():
            self.fill()
        version, kind, request_id, length, padding = HEADER.unpack_from(self.buffer, self.position)
        if version != 1:
            raise self.left()
        start = self.position + 8
        self.position = start + length + padding
        return kind, request_id, self.buffer[start : start + length]

    def fill(self, flags=0):
        """Takes what comes. With MSG_DONTWAIT it may be nothing: False."""
        try:
            data = self.sock.recv(READ_SIZE, flags)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            raise self.left()
        self.buffer = self.buffer[self.position :] + data
        self.position = 0
        return True

    def send(self, *parts):
        try:
            with self._lock:
                if self._held:
                    parts, self._held = (self._held, *parts), b""
                if len(parts) == 1 or sum(map(len, parts)) <= SHORT:
                    self.sock.sendall(b"".join(parts))
                    return
                sent = self.sock.sendmsg(parts)
                if sent < sum(map(len, parts)):
                    self.sock.sendall(b"".join(parts)[sent:])
        except OSError:
            raise self.left() from None

    def hold(self, data):
        """Sends it together with what comes next, or very soon."""
        with self._lock:
            self._held += data
            self._held_at = time.monotonic()
        if not PATIENCE.wake.is_set():
            PATIENCE.wake.set()

    def flush(self, before=math.inf):
        if self._held and self._held_at < before:
            self.send(b"")

    def send_file(self, header, fd, offset, count):
        """A record whose content is in a file."""
        self.flush()
        try:
            with self._lock:
                self.sock.sendall(header)
                while count > 0:
                    sent = self._send_part(fd, offset, count)
                    if sent == 0:
                        # The file has shrunk: the record cannot be ended any more.
                        self.sock.shutdown(socket.SHUT_RDWR)
                        raise OSError("The file has become shorter")
                    offset += sent
                    count -= sent
        except (BrokenPipeError, ConnectionError):
            raise self.left() from None

    def _send_part(self, fd, offset, count):
        try:
            return os.sendfile(self.sock.fileno(), fd, offset, count)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOVERFLOW):
                raise
        data = os.pread(fd, count, offset)
        self.sock.sendall(data)
        return len(data)

    def is_gone(self):
        """Whether the gateway has left; asks the system and waits for nothing."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.sock, 0)
        self.gone = self.gone or bool(self._poll.poll(0))
        return self.gone

    def left(self):
        self.gone = True
        return Gone("The client has left")


class Patience(threading.Thread):
    """Sees to it that nothing is held for long, whatever the application does meanwhile.

    The last block of a body is worth holding for the end of the request, which nearly always follows at
    once: one write and one read instead of two. PEP 3333 allows it if somebody goes on sending even while
    the application is busy, which is what this thread is for. It rests while nothing is held.
    """

    TICK = 0.01

    def __init__(self):
        super().__init__(daemon=True)
        self.connections = set()
        self.wake = threading.Event()

    def run(self):
        while True:
            self.wake.wait()
            self.wake.clear()
            time.sleep(self.TICK)
            before = time.monotonic() - self.TICK / 2
            for connection in tuple(self.connections):
                try:
                    connection.flush(before)
                except Gone:
                    pass


PATIENCE = Patience()


def end_request(request_id, protocol_status):
    return struct.pack(">BBHHBxIB3x", 1, END_REQUEST, request_id, 8, 0, 0, protocol_status)


def next_request(connection):
    """Waits for a request's last PARAMS: its id, whether the connection is kept, and its variables."""
    current, keep, params = 0, False, []
    while True:
        kind, request_id, content = connection.record()
        if request_id == 0:
            connection.send(management(kind, content))
        elif kind == BEGIN_REQUEST:
            role, flags = BEGIN_BODY.unpack(content)
            if role != RESPONDER:
                connection.send(end_request(request_id, UNKNOWN_ROLE))
            elif current not in (0, request_id):
                connection.send(end_request(request_id, CANT_MPX_CONN))
            else:
                current, keep, params = request_id, bool(flags & 1), []
        elif request_id != current:
            # What is left of a request that has ended (3.3), such as a body that nobody read.
            continue
        elif kind == ABORT_REQUEST:
            connection.send(end_request(request_id, REQUEST_COMPLETE))
            current = 0
        elif kind == PARAMS and content:
            params.append(content)
        elif kind == PARAMS:
            return current, keep, params[0] if len(params) == 1 else b"".join(params)


def request_waits(connection):
    """Whether a request has begun to come; skips what is left of one that has ended (3.3)."""
    while connection.fill(socket.MSG_DONTWAIT):
        while connection.has_record():
            if connection.buffer[connection.position + 1] == BEGIN_REQUEST:
                return True
            kind, request_id, content = connection.record()
            if request_id == 0:
                connection.send(management(kind, content))
    return False


def management(kind, content):
    """The answer to a record that is about no request (4)."""
    if kind != GET_VALUES:
        return struct.pack(">BBHHBxB7x", 1, UNKNOWN_TYPE, 0, 8, 0, kind)
    asked = {}
    read_variables(content, asked)
    threads = str(Connection.at_once)
    known = {"FCGI_MAX_CONNS": threads, "FCGI_MAX_REQS": threads, "FCGI_MPXS_CONNS": "0"}
    pairs = b"".join(
        bytes((len(name), len(known[name]))) + name.encode() + known[name].encode()
        for name in asked
        if name in known
    )
    return HEADER.pack(1, GET_VALUES_RESULT, 0, len(pairs), 0) + pairs


def read_variables(data, environ):
    """Reads name-value pairs (3.4). Bytes are text as PEP 3333 has it: Latin-1."""
    text = data.decode("latin-1")
    position, end = 0, len(data)
    while position < end:
        name, position = data[position], position + 1
        if name > 127:
            name, position = LONG.unpack_from(data, position - 1)[0] & 0x7FFFFFFF, position + 3
        value, position = data[position], position + 1
        if value > 127:
            value, position = LONG.unpack_from(data, position - 1)[0] & 0x7FFFFFFF, position + 3
        middle = position + name
        last = middle + value
        environ[text[position:middle]] = text[middle:last]
        position = last
