/** A server of another make that is stopped and started in the midst of it all, on its sockets. */
import { which } from "../support/needs.ts";
import { eventually } from "../support/gateway.ts";

export class Daemon implements AsyncDisposable {
  readonly #command: readonly string[];
  readonly #sockets: readonly string[];
  #child: Deno.ChildProcess | undefined;

  private constructor(command: readonly string[], sockets: readonly string[]) {
    this.#command = command;
    this.#sockets = sockets;
  }

  /** Resolves when it accepts connections on these Unix sockets. */
  static async start(command: readonly string[], sockets: readonly string[]): Promise<Daemon> {
    const daemon = new Daemon(command, sockets);
    await daemon.#start();
    return daemon;
  }

  async restart(): Promise<void> {
    await this.#stop();
    await this.#start();
  }

  async #start(): Promise<void> {
    const [program = "", ...args] = this.#command;
    this.#child = new Deno.Command(which(program) ?? program, {
      args,
      clearEnv: true,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", PYTHONDONTWRITEBYTECODE: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await eventually(() => this.#accepts(), 20_000, program);
  }

  async #stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    // Where a server gives its workers a minute, nobody waits for it.
    const timer = setTimeout(() => child?.kill("SIGKILL"), 2000);
    child?.kill("SIGTERM");
    await child?.status;
    clearTimeout(timer);
  }

  async #accepts(): Promise<boolean> {
    for (const path of this.#sockets) {
      try {
        (await Deno.connect({ transport: "unix", path })).close();
      } catch {
        return false;
      }
    }
    return true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stop();
  }
}
