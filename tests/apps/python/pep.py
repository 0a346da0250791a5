"""What PEP 3333 says of servers, one path each; right by the validator unless the path says otherwise."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import unquote

TEXT = [("Content-Type", "text/plain")]


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").replace("-", "_")
    return PATHS[name](environ, start_response)


def note(environ, text):
    with open(environ["PROGRESS"], "a") as file:
        file.write(text + "\n")


def environ(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    known = {name: value for name, value in environ.items() if isinstance(value, (str, bool, tuple))}
    process = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    yield json.dumps({"environ": known, "process": process, "argv": sys.argv}).encode()


def write(_environ, start_response):
    send = start_response("201 Created", TEXT)
    send(b"written, ")
    send(b"twice, ")
    return [b"then ", b"returned"]


def exc_info(_environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    try:
        raise KeyError("early")
    except KeyError:
        start_response("503 Later", [("Content-Type", "text/plain"), ("X-Error", "y")], sys.exc_info())
    return [b"replaced"]


def exc_late(_environ, start_response):
    start_response("200 OK", TEXT)
    yield b"first"
    try:
        raise KeyError("late")
    except KeyError:
        start_response("500 Fault", TEXT, sys.exc_info())
    yield b"never"


def twice(_environ, start_response):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b""]


def twice_refused(_environ, start_response):
    try:
        start_response("200 OK", [("Bad Name", "x")])
    except ValueError:
        start_response("200 OK", TEXT)
    return [b""]


def silent(_environ, _start_response):
    return [b"no head"]


def text(_environ, start_response):
    start_response("200 OK", TEXT)
    yield "text"


def bare(_environ, start_response):
    start_response("200 OK", TEXT)
    return b"bytes"


def nothing(_environ, start_response):
    start_response("200 OK", TEXT)


def header(environ, start_response):
    name, _, value = unquote(environ["QUERY_STRING"]).partition("=")
    start_response("200 OK", [(name, value.replace("~", "\n"))])
    return [b"x"]


def status(environ, start_response):
    start_response(environ["QUERY_STRING"].replace("+", " "), TEXT)
    return [b"x"]


def late_head(_environ, start_response):
    yield b""
    start_response("200 OK", TEXT)
    yield b""
    yield b"after empty blocks"


class Closing:
    def __init__(self, environ, pieces, pause=0):
        self.environ, self.pieces, self.pause = environ, pieces, pause

    def __iter__(self):
        for piece in self.pieces:
            time.sleep(self.pause)
            yield piece

    def close(self):
        note(self.environ, "closed")


def closes(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing(environ, [b"a", b"b"])


def closes_failing(environ, start_response):
    start_response("200 OK", TEXT)

    def pieces():
        yield b"a"
        raise RuntimeError("in the midst")

    return Closing(environ, pieces())


def ticks(environ, start_response):
    """A stream without an end."""
    start_response("200 OK", TEXT)
    note(environ, "begun")
    return Closing(environ, iter(lambda: b"tick\n", None), 0.05)


def silent_stream(environ, start_response):
    start_response("200 OK", TEXT)
    note(environ, "begun")

    def pieces():
        yield b"first\n"
        while True:
            yield b""

    return Closing(environ, pieces(), 0.02)


def slow_close(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])

    class Slow(Closing):
        def close(self):
            time.sleep(1)

    return Slow(environ, [b"fast"])


def endless(_environ, start_response):
    """Only HEAD comes to its end."""
    start_response("200 OK", TEXT)
    while True:
        yield b"x" * 1000


def inputs(environ, start_response):
    source = environ["wsgi.input"]
    found = [
        source.read(3), source.readline(), source.readline(2), source.readlines(),
        source.read(10), source.readline(), list(source),
    ]
    start_response("200 OK", TEXT)
    yield repr(found).encode()


def lines(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"".join(b"<%s>" % line.rstrip() for line in environ["wsgi.input"])]


def unread(_environ, start_response):
    start_response("413 Too Much", TEXT)
    return [b"not read"]


def file(environ, start_response):
    name, _, skip = environ["QUERY_STRING"].partition("@")
    opened = open(name, "rb")
    opened.seek(int(skip or 0))
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](opened, 8192)


def errors(environ, start_response):
    environ["wsgi.errors"].write("a snowman \u2603 and half a pair \ud800\n")
    environ["wsgi.errors"].writelines(["two ", "pieces\n", "no end"])
    environ["wsgi.errors"].flush()
    print("printed")
    start_response("200 OK", TEXT)
    return [b"x"]


def pid(_environ, start_response):
    start_response("200 OK", TEXT)
    return [b"%d" % os.getpid()]


def slow(_environ, start_response):
    start_response("200 OK", TEXT)
    time.sleep(0.2)
    return [b"%d" % os.getpid()]


def sleeper(environ, start_response):
    """Notices nothing while it sleeps."""
    note(environ, "begun")
    time.sleep(1.5)
    start_response("200 OK", TEXT)
    return Closing(environ, [b"late"])


BARRIER = threading.Barrier(4)


def together(_environ, start_response):
    """Ends once four are here at once."""
    BARRIER.wait(5)
    start_response("200 OK", TEXT)
    return [b"together"]


def kill(environ, start_response):
    start_response("200 OK", TEXT)
    if environ["QUERY_STRING"] == "late":
        yield b"beginning"
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
    yield b"never"


def leave(_environ, _start_response):
    sys.exit("The application leaves")


def child(_environ, start_response):
    """What a program that is started finds as its input."""
    result = subprocess.run(["readlink", "/proc/self/fd/0"], capture_output=True)
    start_response("200 OK", TEXT)
    return [result.stdout]


PATHS = {name: value for name, value in list(globals().items()) if callable(value)}
