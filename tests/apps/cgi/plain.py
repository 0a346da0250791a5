#!/usr/bin/env python3
"""A CGI script by hand, as they are written since the cgi module is gone: os.environ and sys.stdin.buffer."""
import hashlib
import os
import sys
from urllib.parse import parse_qs

QUERY = parse_qs(os.environ["QUERY_STRING"], keep_blank_values=True)


def answer(kind, *fields):
    sys.stdout.write("".join(f"{field}\n" for field in (f"Content-Type: {kind}", *fields)) + "\n")
    sys.stdout.flush()


def form():
    size = int(os.environ["CONTENT_LENGTH"])
    fields = parse_qs(sys.stdin.buffer.read(size).decode("ascii"), keep_blank_values=True)
    answer("text/plain; charset=utf-8")
    for name, values in [*QUERY.items(), *fields.items()]:
        sys.stdout.buffer.write(f"{name}={'|'.join(values)}\n".encode())


def echo():
    """Everything that comes, as it comes, to the end of the input."""
    size = os.environ.get("CONTENT_LENGTH")
    answer("application/octet-stream", f"X-Length: {size}")
    total = hashlib.sha256()
    while piece := sys.stdin.buffer.read1(65536):
        total.update(piece)
        sys.stdout.buffer.write(piece)
    print(total.hexdigest(), file=sys.stderr)


if __name__ == "__main__":
    {"/form": form, "/echo": echo}[os.environ["PATH_INFO"]]()
