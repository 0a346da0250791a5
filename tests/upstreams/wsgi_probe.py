"""Plays plays (play.ts) as a WSGI application. Its head is said in CGI's form, as by all probes."""

import hashlib
import os
import re
import time
import uuid


def application(environ, start_response):
    running = os.path.join(environ["RUNNING"], uuid.uuid4().hex)
    with open(running, "w"):
        pass
    return Play(environ, start_response, running)


class Play:
    """An iterable with a close() of its own: it tells that the play is over."""

    def __init__(self, environ, start_response, running):
        self._steps = play(environ, start_response)
        self._running = running

    def __iter__(self):
        return self._steps

    def close(self):
        self._steps.close()
        os.unlink(self._running)


def play(environ, start_response):
    begun = False
    words = environ.get("PLAY") or environ.get("HTTP_X_PLAY", "")
    for word in words.split(" "):
        name, _, value = word.partition("=")
        value = re.sub(r"\\0([0-7]{3})", lambda found: chr(int(found[1], 8)), value)
        if name == "exit":
            return
        if name == "say" and not begun:
            begun = True
            yield begin(value, start_response)
        elif word:
            yield from STEPS[name](environ, value)


def begin(text, start_response):
    """Starts the response; gives what follows the head."""
    lines, _, rest = text.partition("\n\n")
    fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines.split("\n")]
    status = dict(fields).get("Status", "200 OK")
    start_response(status, [field for field in fields if field[0] != "Status"])
    return rest.encode("latin-1")


def say(_environ, value):
    yield value.encode("latin-1")


def log(environ, value):
    environ["wsgi.errors"].write(value + "\n")
    return ()


def wait(_environ, value):
    time.sleep(float(value))
    return ()


def fill(_environ, value):
    line = b"0123456789abcdef\n"
    yield (line * (int(value) // len(line) + 1))[: int(value)]


def flood(environ, value):
    for _ in range(int(value)):
        yield bytes(2**20)
        note(environ, ".")


def mark(environ, value):
    note(environ, value + "\n")
    return ()


def note(environ, text):
    with open(environ["PROGRESS"], "a") as file:
        file.write(text)


def echo(environ, _value):
    source = environ["wsgi.input"]
    yield from iter(lambda: source.read1(65536), b"")


def measure(environ, _value):
    yield hashlib.sha256(environ["wsgi.input"].read()).hexdigest().encode()


def environ_(environ, _value):
    pairs = [(name, value) for name, value in environ.items() if "." not in name]
    yield "".join("%s=%s\0" % pair for pair in pairs).encode("latin-1")


def die(_environ, _value):
    raise RuntimeError("died")


def hang(_environ, _value):
    """Says nothing; what it yields is a chance to be stopped."""
    for _ in range(3000):
        time.sleep(0.02)
        yield b""


STEPS = {
    "say": say,
    "log": log,
    "wait": wait,
    "fill": fill,
    "flood": flood,
    "mark": mark,
    "echo": echo,
    "measure": measure,
    "environ": environ_,
    "die": die,
    "hang": hang,
}
