/**
 * Python: a hello and a Flask application in two processes each, behind Portico and behind the servers
 * that people run them with, all with the system's own interpreter. Ratios are to gunicorn asked directly.
 */
import { nginx, portico } from "./contenders.ts";
import { compare, type Contender, launch, processTree, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";

const FOLDER = new URL("../apps/python", import.meta.url).pathname;
const PYTHON = "/usr/bin/python3";
const PROCESSES = 2;
const APPS: Readonly<Record<string, string>> = { hello: "hello", Flask: "flask_hello" };

export async function python({ rounds, seconds }: SuiteOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [label, module] of Object.entries(APPS)) {
    rows.push(
      ...await compare(contenders(module), { rounds, work: [{ connections: 16, seconds, label }] }),
    );
  }
  return rows;
}

function contenders(module: string): readonly Contender[] {
  const table = (fields: string) => () =>
    `  - {path: /*, wsgi: {app: "${FOLDER}/${module}.py", python: ${PYTHON}, ${fields}}}`;
  return [
    gunicorn("gunicorn sync", module, []),
    gunicorn("gunicorn gthread", module, ["--threads", "4"]),
    nginxGunicorn(module),
    uwsgi("uWSGI --http-socket", module, (port) => ["--http-socket", `127.0.0.1:${port}`]),
    uwsgi("uWSGI --http", module, (port) => [
      ...["--plugin", "http", "--http", `127.0.0.1:${port}`, "--http-keepalive"],
    ]),
    nginxUwsgi(module),
    portico("Portico", table(`processes: ${PROCESSES}`)),
    portico("Portico, threads: 4", table(`processes: ${PROCESSES}, threads: 4`)),
  ];
}

function gunicornAt(module: string, bind: string, options: readonly string[]) {
  return launch("gunicorn", [
    ...["--chdir", FOLDER, "--workers", String(PROCESSES), "--bind", bind],
    ...[...options, `${module}:application`],
  ]);
}

function gunicorn(name: string, module: string, options: readonly string[]): Contender {
  return {
    name,
    needs: ["gunicorn"],
    start(_folder, port) {
      const stop = gunicornAt(module, `127.0.0.1:${port}`, options);
      return Promise.resolve({
        url: `http://127.0.0.1:${port}/`,
        pids: () => processTree(stop.pid),
        stop,
      });
    },
  };
}

function uwsgiAt(module: string, options: readonly string[]) {
  return launch("uwsgi", [
    ...["--plugin", "python3", "--master", "--die-on-term", "--disable-logging", "--need-app"],
    ...["--processes", String(PROCESSES), "--listen", "256", "--chdir", FOLDER],
    ...["--module", module, ...options],
  ]);
}

function uwsgi(
  name: string,
  module: string,
  options: (port: number) => readonly string[],
): Contender {
  return {
    name,
    needs: ["uwsgi"],
    start(_folder, port) {
      const stop = uwsgiAt(module, options(port));
      return Promise.resolve({
        url: `http://127.0.0.1:${port}/`,
        pids: () => processTree(stop.pid),
        stop,
      });
    },
  };
}

function nginxGunicorn(module: string): Contender {
  return behindNginx("nginx + gunicorn sync", ["gunicorn"], {
    location: (socket) => `proxy_pass http://unix:${socket}:/; proxy_set_header Host $host;`,
    start: (socket) => gunicornAt(module, `unix:${socket}`, []),
  });
}

function nginxUwsgi(module: string): Contender {
  return behindNginx("nginx + uWSGI", ["uwsgi"], {
    location: (socket) => `include /etc/nginx/uwsgi_params; uwsgi_pass unix:${socket};`,
    start: (socket) => uwsgiAt(module, ["--socket", socket, "--chmod-socket=666"]),
  });
}

interface Behind {
  location(socket: string): string;
  start(socket: string): ReturnType<typeof launch>;
}

function behindNginx(name: string, needs: readonly string[], behind: Behind): Contender {
  return {
    name,
    needs: ["nginx", ...needs],
    async start(folder, port) {
      const socket = `${folder}/app.sock`;
      const stop = behind.start(socket);
      const front = await nginx("", "", behind.location(socket)).start(folder, port);
      return {
        url: front.url,
        pids: () => [...front.pids(), ...processTree(stop.pid)],
        stop: async () => {
          await front.stop();
          await stop();
        },
      };
    },
  };
}
