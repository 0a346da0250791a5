/**
 * gunicorn and uWSGI, asked over HTTP or by their own sockets. Both are started with logs off and the
 * number of processes that is asked for; all else is as they come.
 */
import type { Contender } from "../model.ts";
import { appears, launch, type Launched, processTree } from "../processes.ts";
import type { UpstreamProgram } from "./behind.ts";

export interface PythonApp {
  readonly folder: string;
  readonly module: string;
  readonly processes: number;
}

function gunicornAt(own: string, app: PythonApp, options: readonly string[]): Launched {
  return launch(own, "gunicorn", [
    ...["--chdir", app.folder, "--workers", String(app.processes), "--backlog", "2048"],
    ...[...options, `${app.module}:application`],
  ]);
}

function uwsgiAt(own: string, app: PythonApp, options: readonly string[]): Launched {
  return launch(own, "uwsgi", [
    ...["--plugin", "python3", "--master", "--die-on-term", "--disable-logging", "--need-app"],
    ...["--processes", String(app.processes), "--listen", "1024", "--chdir", app.folder],
    ...["--module", app.module, ...options],
  ]);
}

/** gunicorn asked directly: master and workers are the server and the application in one. */
export function gunicorn(name: string, app: PythonApp, options: readonly string[] = []): Contender {
  return direct(name, "gunicorn", (folder, port) => {
    return gunicornAt(folder, app, ["--bind", `127.0.0.1:${port}`, ...options]);
  });
}

/** uWSGI asked directly, by the options that its HTTP server or its router takes. */
export function uwsgiHttp(
  name: string,
  app: PythonApp,
  options: (address: string) => readonly string[],
): Contender {
  return direct(name, "uwsgi", (folder, port) => {
    return uwsgiAt(folder, app, options(`127.0.0.1:${port}`));
  });
}

function direct(
  name: string,
  program: string,
  start: (folder: string, port: number) => Launched,
): Contender {
  return {
    name,
    needs: [program],
    start(folder, port) {
      const { pid, stop } = start(folder, port);
      const origin = `http://127.0.0.1:${port}`;
      return Promise.resolve({ origin, pids: () => processTree(pid), stop });
    },
  };
}

export function gunicornSocket(app: PythonApp): UpstreamProgram {
  return onSocket("gunicorn", (own, socket) => gunicornAt(own, app, ["--bind", `unix:${socket}`]));
}

export function uwsgiSocket(app: PythonApp): UpstreamProgram {
  return onSocket("uwsgi", (own, socket) => {
    return uwsgiAt(own, app, ["--socket", socket, "--chmod-socket=666"]);
  });
}

function onSocket(
  program: string,
  start: (own: string, socket: string) => Launched,
): UpstreamProgram {
  return {
    needs: [program],
    async start(folder) {
      const address = `${folder}/app.sock`;
      const launched = start(folder, address);
      await appears(address);
      return { ...launched, address };
    },
  };
}
