/**
 * Python: a hello and a Flask application in two processes each, behind Portico and behind the servers
 * that people run them with, all with the system's own interpreter.
 */
import { behind } from "../peers/behind.ts";
import { nginx } from "../peers/nginx.ts";
import { portico } from "../peers/portico.ts";
import {
  gunicorn,
  gunicornSocket,
  type PythonApp,
  uwsgiHttp,
  uwsgiSocket,
} from "../peers/python.ts";
import type { Contender, Suite } from "../model.ts";
import { HELLO_BYTES, rate } from "./works.ts";

const FOLDER = new URL("../../apps/python", import.meta.url).pathname;
const PYTHON = "/usr/bin/python3";
const PROCESSES = 2;

export const python: Suite = suiteOf("python", "Python hello, 2 processes", {
  module: "hello",
  connections: [16, 64],
});

export const flask: Suite = suiteOf("flask", "Flask hello, 2 processes", {
  module: "flask_hello",
  connections: [16],
});

function suiteOf(
  name: string,
  title: string,
  { module, connections }: { module: string; connections: readonly number[] },
): Suite {
  return {
    name,
    title,
    plan: () =>
      Promise.resolve({
        contenders: contenders({ folder: FOLDER, module, processes: PROCESSES }),
        works: rate("hello", "/", HELLO_BYTES, connections),
      }),
  };
}

function contenders(app: PythonApp): readonly Contender[] {
  const route = (more = "") =>
    `  - {path: /*, wsgi: {app: "${app.folder}/${app.module}.py", python: ${PYTHON}, processes: ${PROCESSES}${more}}}`;
  return [
    gunicorn("gunicorn sync", app),
    gunicorn("gunicorn gthread", app, ["--threads", "4"]),
    behind(gunicornSocket(app), { name: "nginx + gunicorn sync", server: nginxProxy }),
    uwsgiHttp("uWSGI --http-socket", app, (address) => [
      ...["--http-socket", address, "--add-header", "Connection: close"],
    ]),
    uwsgiHttp("uWSGI --http", app, (address) => [
      ...["--plugin", "http", "--http", address, "--http-keepalive"],
    ]),
    behind(uwsgiSocket(app), { name: "nginx + uWSGI", server: nginxUwsgi }),
    portico(route()),
    portico(route(", threads: 4"), { name: "Portico, threads: 4" }),
  ];
}

function nginxProxy(socket: string): Contender {
  return nginx({
    name: "nginx",
    location: `proxy_pass http://unix:${socket}:/; proxy_set_header Host $host;`,
  });
}

export function nginxUwsgi(socket: string): Contender {
  return nginx({
    name: "nginx",
    location: `include /etc/nginx/uwsgi_params; uwsgi_pass unix:${socket};`,
  });
}
