"""Serves one WSGI application (PEP 3333) to Portico, which starts it: FastCGI on an inherited socket.

The standard library alone, and nothing on the disk: the gateway carries this text and hands it over when
it starts an interpreter (wsgi_python.ts). A connection has one request at a time. Where there are several
threads each serves one connection, and the gateway opens no more of them. A single thread serves requests
of several connections in turn, so that the next one is at hand when it has answered. Connections may be
kept: no other process waits on this socket.
"""

import errno
import gc
import importlib
import importlib.util
import json
import os
import re
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback

from portico_fastcgi import (
    PATIENCE, Connection, Gone, next_request, read_variables, request_waits,
)
from portico_reply import Reply, explain, respond
from portico_streams import Errors, FileWrapper, open_input


class Worker:
    """The process: its threads, and how it comes to its end."""

    def __init__(self, listener, application):
        self._listener = listener
        self._application = application
        self._idle = set()
        self._stopping = False
        several = CONFIG["multiprocess"]
        self._base = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.multithread": CONFIG["threads"] > 1,
            "wsgi.multiprocess": several,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }

    def run(self):
        signal.signal(signal.SIGTERM, self._stop)
        # A terminal's Ctrl-C is the gateway's: it has requests to finish. A handler, since programs that
        # are started would inherit that the signal is ignored.
        signal.signal(signal.SIGINT, lambda *_: None)
        if CONFIG["threads"] == 1:
            return self._take_turns()
        threads = [threading.Thread(target=self._accept) for _ in range(CONFIG["threads"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _stop(self, *_):
        """Takes no more, and finishes what it has. What the gateway writes from here on fails as a whole."""
        self._stopping = True
        shut(self._listener, socket.SHUT_RDWR)
        for sock in tuple(self._idle):
            shut(sock, socket.SHUT_RD)

    def _take(self):
        """The next connection; None: there are no more."""
        while True:
            try:
                return self._listener.accept()[0]
            except OSError as error:
                if self._stopping or error.errno in (errno.EBADF, errno.EINVAL):
                    return None
                # Out of descriptors, for now.
                time.sleep(0.05)

    def _take_turns(self):
        """One request after the other, whichever connection brings it."""
        if hasattr(select, "epoll"):
            # Told once for each arrival, and so in their order.
            poll, readable = select.epoll(), select.EPOLLIN | select.EPOLLET
        else:
            poll, readable = select.poll(), select.POLLIN
        listening = self._listener.fileno()
        connections = {listening: None}
        poll.register(listening, select.POLLIN)
        while connections:
            looked = True
            for number, event in poll.poll():
                connection = connections[number]
                if connection is None:
                    sock = self._take()
                    if sock is not None:
                        connections[sock.fileno()] = self._admit(sock)
                        poll.register(sock, readable)
                        continue
                # Taken back before its turn, or given up: nobody wants the answer.
                elif not (event & select.POLLHUP or (not looked and connection.is_gone())):
                    looked = False
                    if self._turn(connection):
                        continue
                poll.unregister(number)
                del connections[number]
                if connection is not None:
                    self._dismiss(connection)

    def _admit(self, sock):
        connection = Connection(sock)
        PATIENCE.connections.add(connection)
        self._rest(sock)
        return connection

    def _dismiss(self, connection):
        PATIENCE.connections.discard(connection)
        self._idle.discard(connection.sock)
        connection.sock.close()

    def _rest(self, sock):
        self._idle.add(sock)
        if self._stopping:
            shut(sock, socket.SHUT_RD)

    def _turn(self, connection):
        """Serves a request, if one has come; False: the connection is of no more use."""
        try:
            self._idle.discard(connection.sock)
            if request_waits(connection) and not self._serve_one(connection):
                return False
            self._rest(connection.sock)
            return True
        except (Gone, struct.error, IndexError):
            return False

    def _accept(self):
        for sock in iter(self._take, None):
            connection = self._admit(sock)
            try:
                self._serve(connection)
            except (Gone, struct.error, IndexError):
                pass
            finally:
                self._dismiss(connection)

    def _serve(self, connection):
        while True:
            if connection.position == len(connection.buffer):
                connection.fill()
            self._idle.discard(connection.sock)
            if not self._serve_one(connection):
                return
            self._rest(connection.sock)

    def _serve_one(self, connection):
        """One request; False: the connection has no other."""
        request_id, keep, variables = next_request(connection)
        environ = self._base.copy()
        read_variables(variables, environ)
        if environ.get("HTTPS") == "on":
            environ["wsgi.url_scheme"] = "https"
        if "CONTENT_LENGTH" not in environ:
            environ["wsgi.input_terminated"] = True
        reply = Reply(connection, request_id, environ.get("REQUEST_METHOD") == "HEAD")
        reply.errors = environ["wsgi.errors"] = Errors(connection, request_id)
        environ["wsgi.input"] = open_input(connection, request_id)
        environ["portico.is_gone"] = connection.is_gone
        environ["portico.request_id"] = environ.get("REQUEST_ID")
        return respond(self._application, reply, environ) and keep


def shut(sock, how):
    try:
        sock.shutdown(how)
    except OSError:
        pass


def load(spec):
    """The application that `FILE.py`, `FILE.py:name` or `package.module:name` stands for."""
    if ".py" in spec:
        name, attribute = re.fullmatch(r"(.*\.py)(?::(.*))?", spec, re.DOTALL).groups()
        name = os.path.join(CONFIG["folder"], name)
        module = load_file(os.path.normpath(name))
    else:
        name, attribute = spec.split(":")
        module = importlib.import_module(name)
    for choice in [attribute] if attribute else ["application", "app"]:
        found = module
        for part in choice.split("."):
            found = getattr(found, part, None)
        if callable(found):
            return found
    wanted = repr(attribute) if attribute else "'application' nor 'app'"
    raise ImportError("%s has no %s that can be called" % (name, wanted))


def load_file(path):
    """Imports a file under its own name, unless another module has it."""
    name = os.path.basename(path)[:-3]
    name = "portico_" + name if name in sys.modules else name
    module_spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    module_spec.loader.exec_module(module)
    return module


def set_path():
    """What the table names comes first, then what lies beside the application."""
    folder, spec = CONFIG["folder"], CONFIG["app"]
    own = os.path.dirname(os.path.normpath(os.path.join(folder, spec))) if ".py" in spec else folder
    path = [os.path.join(folder, name) for name in CONFIG["path"]]
    sys.path[:0] = path + [own]


def change_times():
    """When the files of all modules were changed last."""
    times = {}
    for module in tuple(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if isinstance(name, str) and name.endswith(".py"):
            try:
                times[name] = os.stat(name).st_mtime_ns
            except OSError:
                continue
    return times


def watch():
    """Ends the process when the source of a module has changed; the gateway starts it anew."""
    known = change_times()
    while True:
        time.sleep(0.3)
        now = change_times()
        changed = [name for name in now if known.get(name, now[name]) != now[name]]
        known.update(now)
        if changed and all(map(can_be_read, changed)):
            sys.stderr.write("%s has changed: starting anew\n" % ", ".join(changed))
            return os.kill(os.getpid(), signal.SIGTERM)


def can_be_read(name):
    """Whether the source is Python; what is not, yet, changes nothing."""
    try:
        with open(name, "rb") as file:
            compile(file.read(), name, "exec")
        return True
    except (OSError, SyntaxError, ValueError) as error:
        sys.stderr.write("%s goes on as it was: %s\n" % (name, error))
        return False


def main():
    Connection.at_once = CONFIG["threads"]
    Reply.explains = CONFIG["dev"]
    listener = socket.socket(fileno=os.dup(0))
    listener.setblocking(True)
    # Programs that the application starts shall not find the socket as their input.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.reconfigure(line_buffering=True)
    # Compiled files go by whole seconds, and who works on a module may be faster.
    sys.dont_write_bytecode = sys.dont_write_bytecode or CONFIG["dev"]
    set_path()
    try:
        application = load(CONFIG["app"])
    except BaseException as error:
        summary = "".join(traceback.format_exception_only(type(error), error)).strip()
        sys.stderr.write("Cannot import %s: %s\n%s" % (CONFIG["app"], summary, explain(error)))
        sys.exit(1)
    if CONFIG["validate"]:
        from wsgiref.validate import validator

        application = validator(application)
    if CONFIG["dev"]:
        threading.Thread(target=watch, daemon=True).start()
    PATIENCE.start()
    # What was imported stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    Worker(listener, application).run()


CONFIG = json.loads(os.environ.pop("PORTICO_WSGI"))
main()
