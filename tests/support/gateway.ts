/** A whole gateway inside the test: a table in, an address out, its log readable. */
import { parseTable } from "../../lib/config/load.ts";
import type { Ground } from "../../lib/generation.ts";
import { kinds } from "./kinds.ts";
import { Log, type LogTarget } from "../../lib/observe/log.ts";
import { Server } from "../../lib/server.ts";
import { Shares } from "../../lib/shares.ts";
import { Sweeper } from "../../lib/sweeper.ts";

/** Keeps what is logged. */
class Memory implements LogTarget {
  #text = "";
  readonly #decoder = new TextDecoder();
  get text(): string {
    return this.#text;
  }
  write(bytes: Uint8Array): Promise<number> {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    return Promise.resolve(bytes.length);
  }
}

export interface TestGateway {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly base: string;
  readonly port: number;
  /** Of the admin listener; empty without one. */
  readonly admin: string;
  readonly ground: Ground;
  /** All access lines so far. */
  access(): Promise<string>;
  /** All other lines so far. */
  log(): Promise<string>;
  /** Puts another table in place, as SIGHUP does. */
  reload(yaml: string): Promise<void>;
}

/** The folder that relative names in test tables start from. */
export const TESTS = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** Serves a table while `body` runs; everything is stopped afterwards, whatever happens. */
export async function withGateway(
  yaml: string,
  body: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const runDir = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-" });
  stack.defer(() => Deno.remove(runDir, { recursive: true }));
  const read = (text: string) =>
    parseTable(inRunDir(byListener(text), runDir), { file: "test.yaml", folder: TESTS }, kinds);
  const table = read(yaml);
  const out = new Memory();
  const err = new Memory();
  const log = new Log(table.server.accessLog, out, err);
  stack.defer(() => log.flush());
  const ground: Ground = { log, sweeper: new Sweeper(), shares: new Shares() };
  const listen = [{ transport: "tcp", hostname: "127.0.0.1", port: 0 }] as const;
  const server = stack.adopt(await Server.start(table, listen, ground), (one) => one.stop());
  const [base = ""] = server.addresses;
  const reload = (text: string) => server.reload(read(text));
  server.reloader = () => reload(yaml).then(() => undefined, String);
  await body({
    base,
    port: Number(base.slice(base.lastIndexOf(":") + 1)),
    admin: server.adminUrl ?? "",
    ground,
    access: async () => (await log.flush(), out.text),
    log: async () => (await log.flush(), err.text),
    reload,
  });
}

/** Any test can be tried with the other listener: `PORTICO_TEST_LISTENER=node`. */
function byListener(yaml: string): string {
  const listener = Deno.env.get("PORTICO_TEST_LISTENER");
  if (listener === undefined || yaml.includes("listener:")) return yaml;
  return /^server:$/m.test(yaml)
    ? yaml.replace(/^server:$/m, `server:\n  listener: ${listener}`)
    : `server:\n  listener: ${listener}\n${yaml}`;
}

/** Tests run side by side: each has a run folder of its own. */
function inRunDir(yaml: string, runDir: string): string {
  if (yaml.includes("runDir:")) return yaml;
  return /^server:/m.test(yaml)
    ? yaml.replace(/^server:.*$/m, (line) => `${line}\n  runDir: ${runDir}/r`)
    : `server:\n  runDir: ${runDir}/r\n${yaml}`;
}

/** Waits until `probe` gives true, for at most `ms`. */
export async function eventually(
  probe: () => boolean | Promise<boolean>,
  ms = 15_000,
  what = "what was expected",
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!await probe()) {
    if (performance.now() > deadline) throw new Error(`Waited ${ms} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export interface RawReply {
  readonly status: number;
  /** The head as it came. */
  readonly head: string;
  readonly body: string;
  /** How the connection ended: by the peer, or by our time limit. */
  readonly closed: boolean;
}

/** Sends bytes as they are and reads until the peer closes or `ms` have passed (Latin-1 both ways). */
export async function rawExchange(port: number, request: string, ms = 2000): Promise<RawReply> {
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  const timer = setTimeout(() => socket.close(), ms);
  let text = "";
  let closed = false;
  try {
    const bytes = Uint8Array.from(request, (char) => char.charCodeAt(0));
    for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
    const buffer = new Uint8Array(65_536);
    for (let count = await socket.read(buffer); count !== null; count = await socket.read(buffer)) {
      for (const byte of buffer.subarray(0, count)) text += String.fromCharCode(byte);
    }
    closed = true;
  } catch {
    // Reset by the peer, or our own time limit.
  }
  clearTimeout(timer);
  try {
    socket.close();
  } catch {
    // The time limit did.
  }
  const end = text.indexOf("\r\n\r\n");
  const head = end === -1 ? text : text.slice(0, end);
  return {
    status: Number(/^HTTP\/1\.\d (\d{3})/.exec(head)?.[1] ?? 0),
    head,
    body: end === -1 ? "" : text.slice(end + 4),
    closed,
  };
}
