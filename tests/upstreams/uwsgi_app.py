"""A WSGI application for the tests of uwsgi and SCGI, run by a real uWSGI server."""

import hashlib
import json
import os
import signal
import time


def application(environ, start_response):
    return PAGES[environ["PATH_INFO"].rpartition("/")[2]](environ, start_response)


def environ_page(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    text = {name: value for name, value in environ.items() if isinstance(value, str)}
    return [json.dumps(text).encode()]


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "14")])
    return [b"Hello, world!\n"]


def ticks(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(3):
        yield b"tick %d\n" % number
        time.sleep(0.3)


def upload(environ, start_response):
    digest = hashlib.sha256()
    length = 0
    while piece := environ["wsgi.input"].read(65536):
        digest.update(piece)
        length += len(piece)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{length} {digest.hexdigest()}".encode()]


def large(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    block = bytes(range(256)) * 256
    for _ in range(320):
        yield block


class Endless:
    """Writes on and on; tells in a file when it is closed."""

    def __init__(self, mark):
        self.mark = mark

    def __iter__(self):
        return self

    def __next__(self):
        time.sleep(0.02)
        return b"more\n"

    def close(self):
        with open(self.mark, "a") as file:
            file.write("closed\n")


def endless(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Endless(environ["MARK"])


def killed(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
    yield b"the beginning"
    os.kill(os.getpid(), signal.SIGKILL)


def failing(environ, start_response):
    raise ValueError("on purpose")


PAGES = {
    "environ": environ_page,
    "hello": hello,
    "ticks": ticks,
    "upload": upload,
    "large": large,
    "endless": endless,
    "killed": killed,
    "failing": failing,
}
