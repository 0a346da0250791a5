/**
 * Real peers, started for one test and stopped after it: php-fpm from a generated configuration, and
 * folders that hold what a test serves. Everything lies in a temporary folder that is removed.
 */
import { eventually } from "./gateway.ts";
import { which } from "./needs.ts";

/** A temporary folder that goes with its scope. */
export interface TempFolder extends AsyncDisposable {
  readonly path: string;
}

/** Under /tmp by name: paths of sockets must stay short. */
export async function tempFolder(): Promise<TempFolder> {
  const path = await Deno.makeTempDir({ dir: "/tmp", prefix: "pp-" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** Writes a program into a folder and makes it executable. */
export async function writeScript(path: string, text: string): Promise<string> {
  await Deno.writeTextFile(path, text, { mode: 0o755 });
  return path;
}

/** A TCP port that nobody listened on a moment ago. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** php-fpm as Debian names it, with its version. */
export function phpFpm(): string {
  return ["php-fpm8.2", "php-fpm8.4", "php-fpm8.3", "php-fpm"].find((name) => which(name)) ??
    "php-fpm8.2";
}

export interface PhpFpm extends AsyncDisposable {
  /** As routes.yaml writes it. */
  readonly address: string;
  readonly pid: number;
}

const CHILDREN = 4;

/** Starts php-fpm with a static pool of four children, and waits until it accepts connections. */
export async function startPhpFpm(folder: string, transport: "unix" | "tcp"): Promise<PhpFpm> {
  const path = `${folder}/fpm.sock`;
  const port = transport === "unix" ? 0 : freePort();
  const config = `${folder}/fpm.conf`;
  await Deno.writeTextFile(config, fpmConfig(folder, port === 0 ? path : `127.0.0.1:${port}`));
  const isRoot = Deno.uid() === 0;
  // -n: no php.ini, so that every machine runs the same PHP.
  const args = ["-n", "-F", ...(isRoot ? ["-R"] : []), "-y", config];
  const child = new Deno.Command(which(phpFpm()) ?? phpFpm(), {
    args,
    clearEnv: true,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const to: Deno.ConnectOptions | Deno.UnixConnectOptions = port === 0
    ? { transport: "unix", path }
    : { hostname: "127.0.0.1", port };
  const stop = async () => {
    child.kill("SIGTERM");
    await child.status;
  };
  try {
    await eventually(() => accepts(to), 5000, `php-fpm, see ${folder}/fpm.log`);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    address: port === 0 ? `unix:${path}` : `127.0.0.1:${port}`,
    pid: child.pid,
    [Symbol.asyncDispose]: stop,
  };
}

function fpmConfig(folder: string, listen: string): string {
  return `[global]
error_log = ${folder}/fpm.log
daemonize = no
[test]
${Deno.uid() === 0 ? "user = root\ngroup = root" : ""}
listen = ${listen}
pm = static
pm.max_children = ${CHILDREN}
php_admin_value[post_max_size] = 32M
php_admin_value[upload_max_filesize] = 16M
php_admin_value[session.save_path] = ${folder}
php_admin_value[upload_tmp_dir] = ${folder}
php_admin_value[error_reporting] = 32767
php_admin_flag[display_errors] = off
php_admin_flag[log_errors] = on
php_admin_flag[output_buffering] = off
`;
}

type Target = Deno.ConnectOptions | Deno.UnixConnectOptions;

async function accepts(to: Target): Promise<boolean> {
  try {
    const socket = "path" in to ? await Deno.connect(to) : await Deno.connect(to);
    socket.close();
    return true;
  } catch {
    return false;
  }
}
