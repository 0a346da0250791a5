/** uwsgi: a real uWSGI server with a Python hello, behind nginx's uwsgi_pass and behind Portico. */
import { nginx, portico } from "./contenders.ts";
import { compare, launch, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";
import { which } from "../support/needs.ts";

const PROCESSES = 2;
/** As many as connections, with room: a full backlog refuses. */
const BACKLOG = 256;

export async function uwsgi({ rounds, seconds }: SuiteOptions): Promise<Row[]> {
  if (which("uwsgi") === undefined) throw new Error("uwsgi is not installed");
  const folder = await Deno.makeTempDir({ prefix: "pb-" });
  await Deno.chmod(folder, 0o755);
  const socket = `${folder}/app.sock`;
  const stop = launch("uwsgi", [
    ...["--plugin", "python3", "--master", "--die-on-term", "--disable-logging"],
    ...["--socket", socket, "--chmod-socket=666", "--listen", String(BACKLOG)],
    ...["--processes", String(PROCESSES), "--need-app"],
    ...["--wsgi-file", await writeHello(folder)],
  ]);
  try {
    await exists(socket);
    return await compare([
      nginx("nginx", "", `include /etc/nginx/uwsgi_params; uwsgi_pass unix:${socket};`),
      portico("Portico", () => `  - {path: /*, uwsgi: "unix:${socket}"}`),
    ], {
      rounds,
      work: [{ connections: 16, seconds }, { connections: 64, seconds }],
    });
  } finally {
    await stop();
    await Deno.remove(folder, { recursive: true });
  }
}

async function writeHello(folder: string): Promise<string> {
  const file = `${folder}/hello.py`;
  await Deno.writeTextFile(
    file,
    `def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "14")])
    return [b"Hello, world!\\n"]
`,
  );
  return file;
}

async function exists(file: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await Deno.lstat(file).then(() => true, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${file} did not appear`);
}
