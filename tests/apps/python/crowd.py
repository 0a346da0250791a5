"""Notes each call by its id, then does as the path says: quick, nap (for the seconds that it names), kill."""

import os
import signal
import time
from urllib.parse import parse_qs

TEXT = [("Content-Type", "text/plain")]


def application(environ, start_response):
    asked = parse_qs(environ["QUERY_STRING"])
    with open(environ["PROGRESS"], "a") as file:
        file.write(asked["id"][0] + "\n")
    path = environ["PATH_INFO"]
    if path == "/nap":
        time.sleep(float(asked["seconds"][0]))
    elif path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", TEXT)
    return [b"%d" % os.getpid()]
