#!/usr/bin/env python3
"""Python's own CGI gateway around a WSGI application that echoes."""
import hashlib
import json
import sys
from wsgiref.handlers import CGIHandler
from wsgiref.validate import validator


def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    print("told by Python", file=environ["wsgi.errors"])
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return [b"0123456789abcdef" * 65536 for _ in range(5)]
    answer = {"environ": told, "length": len(body), "sha1": hashlib.sha1(body).hexdigest()}
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Version", sys.version.split()[0])])
    return [json.dumps(answer).encode()]


CGIHandler().run(validator(app))
