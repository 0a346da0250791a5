/** The command line as a user runs it: another process, its flags, its two streams, its exit status. */
import { eventually } from "./gateway.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

export interface CommandOptions {
  /** Flags of the runtime, exactly; all permissions unless given. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What runs the runtime, such as `prlimit` with a limit. */
  readonly under?: readonly string[];
}

export interface Ended {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly out: string;
  readonly err: string;
}

export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** What it listens on, as it says. */
  readonly addresses: readonly string[];
  /** The first of {@link addresses}. */
  readonly base: string;
  /** All that it has written to a stream so far. */
  out(): string;
  err(): string;
  signal(name: Deno.Signal): void;
  readonly ended: Promise<Ended>;
}

/** Runs a command to its end. */
export async function runPortico(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Ended> {
  return await launch(args, options).ended;
}

/** Starts `serve`; resolves once it says where it listens, rejects with its words if it ends instead. */
export async function startPortico(
  args: readonly string[],
  options: CommandOptions & { readonly listeners?: number } = {},
): Promise<Running> {
  const running = launch(args, options);
  const { listeners = 1 } = options;
  let ended: Ended | undefined;
  running.ended.then((result) => ended = result);
  await eventually(() => ended !== undefined || running.addresses.length >= listeners, 15_000);
  if (ended !== undefined) throw new Error(`exit ${ended.code}: ${ended.err}`);
  return running;
}

function launch(args: readonly string[], options: CommandOptions): Running {
  const { flags = ["--no-prompt", "-A"], env = {}, cwd = "/", under = [] } = options;
  const [program = "", ...words] = [...under, Deno.execPath(), "run", ...flags, MAIN, ...args];
  const child = new Deno.Command(program, {
    args: words,
    clearEnv: true,
    env: { ...usualEnvironment(), ...env },
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const out = new Stream(child.stdout);
  const err = new Stream(child.stderr);
  const ended = Promise.all([child.status, out.ended, err.ended]).then(
    ([{ code, signal }]): Ended => ({ code, signal, out: out.text, err: err.text }),
  );
  const addresses = () =>
    Array.from(out.text.matchAll(/^portico: listening on (.*)$/gm), ([, address = ""]) => address);
  return {
    pid: child.pid,
    get addresses() {
      return addresses();
    },
    get base() {
      return addresses()[0] ?? "";
    },
    out: () => out.text,
    err: () => err.text,
    signal: (name) => child.kill(name),
    ended,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended.
      }
      await ended;
    },
  };
}

/** The environment of a user without any wish for or against colour. */
export function usualEnvironment(): Record<string, string> {
  const { NO_COLOR: _no, FORCE_COLOR: _force, ...rest } = Deno.env.toObject();
  return rest;
}

/** Gathers the text of a stream. */
class Stream {
  text = "";
  readonly ended: Promise<void>;

  constructor(source: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#gather(source);
  }

  async #gather(source: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const piece of source.pipeThrough(new TextDecoderStream())) this.text += piece;
  }
}
