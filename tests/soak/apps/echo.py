"""Answers with proof of its request: its id, the digest of its body, then as much as it asks for."""

import hashlib
import time
from urllib.parse import parse_qs


def application(environ, start_response):
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    identity = query.get("id", "")
    size = int(query.get("size", "0"))
    ticks = int(query.get("ticks", "0"))
    digest = hashlib.sha256()
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0:
        piece = environ["wsgi.input"].read(min(left, 65536))
        if not piece:
            break
        digest.update(piece)
        left -= len(piece)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Proof", identity)])
    return reply(identity, digest.hexdigest(), ticks, size)


def reply(identity, digest, ticks, size):
    yield f"{identity} {digest}\n".encode()
    for tick in range(1, ticks + 1):
        yield f"{identity} {tick}\n".encode()
        time.sleep(0.02)
    if size > 0:
        yield (identity * (size // len(identity) + 1))[:size].encode()
