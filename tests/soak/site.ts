/**
 * One gateway of every kind, in a process of its own with the permissions that `flags` prints, and the
 * servers behind it: php-fpm, uWSGI by both of its protocols, an HTTP origin.
 */
import { type Running, runPortico, startPortico } from "../support/command.ts";
import { phpFpm } from "../support/peers.ts";
import { freePort, tempFolder } from "../support/peers.ts";
import { Daemon } from "./daemon.ts";
import { Origin } from "./origin.ts";
import { fillingOf } from "./proof.ts";

const APPS = new URL("apps", import.meta.url).pathname;
/** Where the distribution has it, past any manager of versions. */
const PYTHON = "/usr/bin/python3";

/** From this turn on, for as many. */
const OTHER_PYTHON = 8;

export interface Site extends AsyncDisposable {
  readonly base: string;
  readonly admin: string;
  readonly gateway: Running;
  readonly fpm: Daemon;
  readonly uwsgi: Daemon;
  readonly origin: Origin;
  /** Writes the table anew: a text and a variable of Python's processes change with the turn. */
  rewrite(turn: number): Promise<void>;
  /** Leaves the table half-written. */
  spoil(): Promise<void>;
  /** Moves the access log away. */
  rotate(): Promise<void>;
}

/** The files that `static` sends, by name. */
export const FILES: readonly { readonly id: string; readonly size: number }[] = Array.from(
  { length: 8 },
  (_, index) => ({ id: `file${String(index).padStart(12, "0")}`, size: 10 ** index % 2_000_003 }),
);

export async function openSite(): Promise<Site> {
  await using opened = new AsyncDisposableStack();
  const { path: folder } = opened.use(await tempFolder());
  // Servers that drop their privileges still have to reach their files.
  await Deno.chmod(folder, 0o755);
  await lay(folder);
  const fpm = opened.use(await startFpm(folder));
  const uwsgi = opened.use(await startUwsgi(folder));
  const origin = opened.use(new Origin());
  const port = freePort();
  const adminPort = freePort();
  const file = `${folder}/routes.yaml`;
  const rewrite = (turn: number) =>
    Deno.writeTextFile(file, table({ folder, port, adminPort, origin: origin.port, turn }));
  // Other variables for Python's processes are another upstream, with sockets of its own.
  const flags: string[][] = [];
  for (const turn of [OTHER_PYTHON, 0]) {
    await rewrite(turn);
    const { out } = await runPortico(["flags", "-c", file]);
    flags.push(out.trim().split(" "));
  }
  const gateway = await startPortico(["serve", "-c", file], { flags: merged(flags) });
  opened.use(gateway);
  const rest = opened.move();
  return {
    base: gateway.base,
    admin: `http://127.0.0.1:${adminPort}`,
    gateway,
    fpm,
    uwsgi,
    origin,
    rewrite,
    // Cut at some place it might still be a table: the bracket that is left open makes sure.
    spoil: async () => {
      const text = await Deno.readTextFile(file);
      await Deno.writeTextFile(file, `${text.slice(0, 1000)}\n[`);
    },
    rotate: async () => {
      await Deno.rename(`${folder}/access.log`, `${folder}/access.log.1`);
      gateway.signal("SIGUSR1");
    },
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}

/** The flags of several tables, for one gateway. */
function merged(flags: readonly (readonly string[])[]): string[] {
  const values = new Map<string, Set<string>>();
  for (const flag of flags.flat()) {
    const [name = "", list] = flag.split("=");
    const known = values.get(name) ?? new Set();
    values.set(name, list === undefined ? known : known.union(new Set(list.split(","))));
  }
  return Array.from(values, ([name, list]) => {
    return list.size === 0 ? name : `${name}=${[...list].join(",")}`;
  });
}

async function lay(folder: string): Promise<void> {
  for (const name of ["files", "site"]) await Deno.mkdir(`${folder}/${name}`);
  for (const file of FILES) {
    await Deno.writeTextFile(`${folder}/files/${file.id}.txt`, fillingOf(file));
  }
  for (const name of ["echo.pl", "echo.php", "echo.py"]) {
    await Deno.copyFile(`${APPS}/${name}`, `${folder}/${name}`);
  }
  await Deno.copyFile(`${APPS}/echo.php`, `${folder}/site/index.php`);
}

async function startFpm(folder: string): Promise<Daemon> {
  const socket = `${folder}/fpm.sock`;
  const isRoot = Deno.uid() === 0;
  await Deno.writeTextFile(
    `${folder}/fpm.conf`,
    `[global]
error_log = ${folder}/fpm.log
daemonize = no
[soak]
${isRoot ? "user = root\ngroup = root" : ""}
listen = ${socket}
pm = static
pm.max_children = 4
`,
  );
  const args = ["-n", "-F", ...(isRoot ? ["-R"] : []), "-y", `${folder}/fpm.conf`];
  return await Daemon.start([phpFpm(), ...args], [socket]);
}

async function startUwsgi(folder: string): Promise<Daemon> {
  const sockets = [`${folder}/uwsgi.sock`, `${folder}/scgi.sock`];
  const [uwsgi = "", scgi = ""] = sockets;
  return await Daemon.start([
    "uwsgi",
    ...["--plugin", "python3", "--wsgi-file", `${folder}/echo.py`, "--master"],
    ...["--socket", uwsgi, "--scgi-socket", scgi, "--processes", "2", "--threads", "4"],
    ...["--need-app", "--no-orphans", "--disable-logging", "--die-on-term", "--listen", "64"],
  ], sockets);
}

interface Places {
  readonly folder: string;
  readonly port: number;
  readonly adminPort: number;
  readonly origin: number;
  readonly turn: number;
}

function table({ folder, port, adminPort, origin, turn }: Places): string {
  const route = (path: string, fields: Record<string, unknown>) =>
    `  - ${JSON.stringify({ path, ...fields })}\n`;
  const python = { app: "./echo.py", python: PYTHON, processes: 2, threads: 4 };
  const spawn = { command: ["php-cgi", "-n"], processes: 2 };
  return `server:
  listen: 127.0.0.1:${port}
  accessLog: json
  accessLogFile: ${folder}/access.log
  drainTimeout: 10s
  spoolDir: ${folder}/spool
  runDir: ${folder}/run
admin: {listen: "127.0.0.1:${adminPort}"}
routes:
` +
    route("/cgi", { cgi: "./echo.pl" }) +
    route("/fpm", { fastcgi: { connect: `unix:${folder}/fpm.sock`, script: "./echo.php" } }) +
    route("/fastcgi", { fastcgi: { spawn, script: "./echo.php" } }) +
    route("/php/*", { php: { root: "./site", spawn } }) +
    route("/inline", { wsgi: `${APPS}/echo.ts`, headers: { set: { "X-Turn": String(turn) } } }) +
    route("/isolate", { wsgi: { app: `${APPS}/echo.ts`, isolate: "worker", workers: 2 } }) +
    route("/python", {
      wsgi: { ...python, env: { TURN: String(Math.floor(turn / OTHER_PYTHON) % 2) } },
    }) +
    route("/uwsgi", { uwsgi: `unix:${folder}/uwsgi.sock` }) +
    route("/scgi", { scgi: `unix:${folder}/scgi.sock` }) +
    route("/proxy", { proxy: `http://127.0.0.1:${origin}` }) +
    route("/cache", { proxy: `http://127.0.0.1:${origin}`, cache: true }) +
    route("/static/*", { static: "./files" }) +
    route("/old/:id", { redirect: "/static/:id" }) +
    route("/turn", { respond: `turn ${turn}` });
}
