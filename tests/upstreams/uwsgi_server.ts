/** Real servers that speak uwsgi or SCGI, started for one test and stopped after it. */
import { eventually, TESTS } from "../support/gateway.ts";
import { which } from "../support/needs.ts";
import { freePort, tempFolder } from "../support/peers.ts";

export interface RealServer extends AsyncDisposable {
  /** As routes.yaml writes it. */
  readonly address: string;
  readonly folder: string;
  /** What the server has logged. */
  log(): Promise<string>;
}

export interface UwsgiServerOptions {
  /** Below tests/upstreams; `FILE:NAME` for another name than `application`. */
  readonly app: string;
  readonly transport?: "tcp" | "unix";
  /** The option that says how it listens; default `--socket`. */
  readonly listen?: "--socket" | "--scgi-socket";
  readonly processes?: number;
  readonly options?: readonly string[];
}

/** Starts uWSGI with its Python plugin. */
export async function startUwsgi(options: UwsgiServerOptions): Promise<RealServer> {
  const { app, transport = "unix", listen = "--socket", processes = 2 } = options;
  const [file = "", callable = "application"] = app.split(":");
  // Its workers may be deaf to a milder signal, and it would give them a minute.
  return await startServer(transport, "SIGKILL", (address) => [
    "uwsgi",
    ...["--plugin", "python3", "--wsgi-file", `${TESTS}/upstreams/${file}`],
    ...["--callable", callable, listen, address.replace(/^unix:/, "")],
    ...["--master", "--processes", String(processes), "--need-app", "--no-orphans"],
    ...["--disable-logging", "--chmod-socket=666", ...(options.options ?? [])],
  ]);
}

/** Starts Perl's SCGI module. */
export async function startPerlScgi(): Promise<RealServer> {
  return await startServer("unix", "SIGTERM", (address) => [
    "perl",
    `${TESTS}/upstreams/scgi_program.pl`,
    address.replace(/^unix:/, ""),
  ]);
}

/** Starts nginx with one location, on a TCP port. */
export async function startNginx(location: string): Promise<RealServer> {
  return await startServer("tcp", "SIGTERM", (address, folder) => {
    const paths = ["client_body", "fastcgi", "proxy", "scgi", "uwsgi"]
      .map((name) => `${name}_temp_path ${folder}/${name};`).join(" ");
    Deno.writeTextFileSync(
      `${folder}/nginx.conf`,
      `daemon off; pid ${folder}/pid; error_log stderr; worker_processes 1;
events {}
http { access_log off; ${paths} server { listen ${address}; location / { ${location} } } }
`,
    );
    return ["nginx", "-p", folder, "-c", `${folder}/nginx.conf`];
  });
}

/** Modules that are no programs, each under the name of its package where it is missing. */
function packageUnless(works: boolean, name: string): string[] {
  return works ? [] : [name];
}

function runs(program: string, ...args: readonly string[]): boolean {
  try {
    return new Deno.Command(program, { args: [...args], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

/** What {@link testWith} is to ask for before a test that starts uWSGI. */
export const UWSGI: readonly string[] = [
  "uwsgi",
  ...packageUnless(runs("uwsgi", "--plugin", "python3", "--version"), "uwsgi-plugin-python3"),
];

/** Flask, for the Python that uWSGI's plugin is built with: the system's. */
export const FLASK: readonly string[] = packageUnless(
  runs("/usr/bin/python3", "-c", "import flask"),
  "python3-flask",
);

/** Perl's SCGI module. */
export const PERL_SCGI: readonly string[] = packageUnless(
  runs("perl", "-MSCGI", "-e", "1"),
  "libscgi-perl",
);

async function startServer(
  transport: "tcp" | "unix",
  signal: Deno.Signal,
  commandOf: (address: string, folder: string) => readonly string[],
): Promise<RealServer> {
  const stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await tempFolder());
  // Servers that drop their privileges still have to reach their files.
  await Deno.chmod(folder, 0o755);
  const port = transport === "tcp" ? freePort() : 0;
  const address = transport === "tcp" ? `127.0.0.1:${port}` : `unix:${folder}/s`;
  const [program = "", ...args] = commandOf(address, folder);
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      `exec "$0" "$@" >${folder}/log 2>&1 </dev/null`,
      which(program) ?? program,
      ...args,
    ],
    clearEnv: true,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", PYTHONDONTWRITEBYTECODE: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  stack.defer(async () => {
    try {
      child.kill(signal);
    } catch {
      // It has ended by itself.
    }
    await child.status;
  });
  const log = () => Deno.readTextFile(`${folder}/log`);
  try {
    await eventually(() => accepts(address), 10_000, program);
  } catch (error) {
    const said = await log();
    await stack.disposeAsync();
    throw new Error(`${program} does not listen: ${said}`, { cause: error });
  }
  return { address, folder, log, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function accepts(address: string): Promise<boolean> {
  try {
    const socket = address.startsWith("unix:")
      ? await Deno.connect({ transport: "unix", path: address.slice(5) })
      : await Deno.connect({ port: Number(address.split(":")[1]) });
    socket.close();
    return true;
  } catch {
    return false;
  }
}
