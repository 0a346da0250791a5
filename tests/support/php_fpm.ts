/** A php-fpm that a test restarts, reloads and kills as it likes, on one socket all the time. */
import { eventually } from "./gateway.ts";
import { which } from "./needs.ts";
import { phpFpm } from "./peers.ts";

export interface FpmOptions {
  /** Default: `pm = static`, four children. */
  readonly pm?: string;
}

export class Fpm implements AsyncDisposable {
  readonly socket: string;
  readonly #folder: string;
  #child: Deno.ChildProcess | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
    this.socket = `${folder}/fpm.sock`;
  }

  static async start(folder: string, { pm = STATIC }: FpmOptions = {}): Promise<Fpm> {
    const fpm = new Fpm(folder);
    await Deno.writeTextFile(
      `${folder}/fpm.conf`,
      `[global]
error_log = ${folder}/fpm.log
daemonize = no
[test]
${Deno.uid() === 0 ? "user = root\ngroup = root" : ""}
listen = ${fpm.socket}
listen.mode = 0666
${pm}
`,
    );
    await fpm.start();
    return fpm;
  }

  /** As routes.yaml writes it. */
  get address(): string {
    return `unix:${this.socket}`;
  }

  /** Resolves when it accepts connections. */
  async start(): Promise<void> {
    const isRoot = Deno.uid() === 0;
    this.#child = new Deno.Command(which(phpFpm()) ?? phpFpm(), {
      args: ["-n", "-F", ...(isRoot ? ["-R"] : []), "-y", `${this.#folder}/fpm.conf`],
      clearEnv: true,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await eventually(() => accepts(this.socket), 5000, `php-fpm, see ${this.#folder}/fpm.log`);
  }

  /** Ends it at once, whatever its children do. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    child?.kill("SIGTERM");
    await child?.status;
  }

  /** Has it read its configuration anew: the children end, the master and its socket stay. */
  reload(): void {
    this.#child?.kill("SIGUSR2");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

const STATIC = "pm = static\npm.max_children = 4";

async function accepts(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch {
    return false;
  }
}
