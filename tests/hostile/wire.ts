/**
 * Raw requests over a real socket to a real gateway, and a real application behind it that keeps what
 * reached it: one way in, one way to tell what came of it.
 */
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { tempFolder } from "../support/peers.ts";
import { type RawRequest, serveRaw } from "../upstreams/raw_origin.ts";
import { CONTROL } from "./requests/row.ts";

/** What came of a row. */
export interface Outcome {
  /** As a row's `answers`. */
  readonly answers: string;
  /** As a row's `seen`. */
  readonly seen: readonly string[];
  /** The answers as they came. */
  readonly text: string;
}

export interface Scene {
  readonly gateway: TestGateway;
  /** Sends a row's bytes and the control request behind them; `expected` tells what to wait for. */
  send(sends: string, expected: Pick<Outcome, "answers" | "seen">): Promise<Outcome>;
  /** What reached the application since it was last asked. */
  taken(): Promise<string[]>;
}

/** A gateway with a route of every kind that a target can reach, most of them to one recording origin. */
export async function withScene(
  body: (scene: Scene) => Promise<void>,
  server: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/files/sub`, { recursive: true });
  await Deno.writeTextFile(`${folder.path}/files/a.txt`, "file a");
  await Deno.writeTextFile(`${folder.path}/files/sub/b.txt`, "file b");
  await Deno.writeTextFile(`${folder.path}/files/.hidden`, "SECRET");
  await Deno.writeTextFile(`${folder.path}/secret.txt`, "SECRET");
  const seen: Promise<string>[] = [];
  await using origin = serveRaw(async (request, reply) => {
    const told = tell(request);
    seen.push(told);
    const text = new TextEncoder().encode(await told);
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n`;
    const isHead = request.line.startsWith("HEAD ");
    await reply.write(new Uint8Array([...latin1(head), ...(isHead ? [] : text)]));
  });
  const proxy = { to: origin.url, preserveHost: true };
  const routes = [
    { path: "/only-get", methods: ["GET"], proxy },
    { path: "/small", maxRequestBody: 10, proxy },
    { path: "/answer", respond: "answer" },
    { path: "/moved", redirect: "/x" },
    { path: "/files/*", static: `${folder.path}/files` },
    { path: "/b/*", host: "b.test", respond: "b.test alone" },
    { path: "/traced", methods: ["TRACE"], respond: "traced" },
    { path: "/tree/*", proxy },
    { path: "/*", proxy },
  ];
  const own = { accessLog: "off", ...server };
  const lines = Object.entries(own).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}\n`);
  const table = `server:\n${lines.join("")}routes: ${JSON.stringify(routes)}\n`;
  const taken = async () => await Promise.all(seen.splice(0));
  await withGateway(table, (gateway) =>
    body({
      gateway,
      taken,
      send: async (sends, expected) => {
        const waits = expected.answers.endsWith("?");
        // What is to come first: all that reaches the application, and an answer that is not its end.
        const isReady = (text: string) =>
          seen.length >= expected.seen.length &&
          (text !== "" || /^(499 )?\?$/.test(expected.answers));
        const bytes = latin1(sends + CONTROL);
        const text = await converse(gateway.port, bytes, waits ? isReady : undefined);
        const all = await taken();
        const answers = tellAnswers(text, sends.startsWith("HEAD "), waits);
        if (answers.endsWith("+")) all.pop();
        return { answers, seen: all, text };
      },
    }));
}

/** Fields that the proxy says itself, or that frame the body, which is told by its bytes. */
const OWN = /^(host|via|forwarded|x-forwarded-\w+|x-request-id|content-length|transfer-encoding):/i;

async function tell(request: RawRequest): Promise<string> {
  const [method = "", target = ""] = request.line.split(" ");
  const fields = request.head.split("\r\n").slice(1).filter((line) => !OWN.test(line));
  const body = await request.body().then((text) => text && JSON.stringify(text), () => "cut");
  const rest = [...fields, ...(body === "" ? [] : [body])];
  return [`${method} ${target} @${request.all("host").join("|")}`, ...rest].join(" ");
}

/** How long nothing must come for it to be called waiting. A busy machine only makes it seem longer. */
const SILENCE_MS = 150;
const LIMIT_MS = 15_000;

/**
 * Sends all, reads until the end. Who is to wait for more is left alone for a moment once `waits` says so,
 * then given the end.
 */
export async function converse(
  port: number,
  bytes: Uint8Array,
  waits?: (text: string) => boolean,
): Promise<string> {
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  let text = "";
  let isOver = false;
  const timer = setTimeout(() => socket.close(), LIMIT_MS);
  const hangingUp = waits === undefined ? undefined : hangUp(socket, () => isOver || waits(text));
  const buffer = new Uint8Array(65_536);
  const writing = writeAll(socket, bytes);
  try {
    for (let count = await socket.read(buffer); count !== null; count = await socket.read(buffer)) {
      for (const byte of buffer.subarray(0, count)) text += String.fromCharCode(byte);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) text += `\0${error}`;
  }
  isOver = true;
  clearTimeout(timer);
  await Promise.all([writing, hangingUp]);
  try {
    socket.close();
  } catch {
    // The time limit did.
  }
  return text;
}

/** Says that nothing more will be sent, a moment after it is time to. */
async function hangUp(socket: Deno.TcpConn, isTime: () => boolean): Promise<void> {
  while (!isTime()) await pause(5);
  await pause(SILENCE_MS);
  await socket.closeWrite().catch(() => {});
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function writeAll(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
  } catch {
    // Refused before all was sent: the answer is there to be read.
  }
}

/** One answer out of a connection's text, by its framing. Anything that is none is told in words. */
export function nextAnswer(text: string, isHead: boolean): Answer | string {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return `no head: ${JSON.stringify(text.slice(0, 200))}`;
  const [line = "", ...fields] = text.slice(0, end).split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3}) [\x20-\x7e]*$/.exec(line)?.[1]);
  if (Number.isNaN(status)) return `no status line: ${JSON.stringify(line)}`;
  for (const field of fields) {
    if (!/^[!#$%&'*+\-.^_`|~\w]+: ?[\t\x20-\x7e\x80-\xff]*$/.test(field)) {
      return `no field: ${JSON.stringify(field)}`;
    }
  }
  const all = (name: string) =>
    fields.filter((field) => field.toLowerCase().startsWith(`${name}:`))
      .map((field) => field.slice(name.length + 1).trim());
  const rest = text.slice(end + 4);
  const bodiless = isHead || status < 200 || status === 204 || status === 304;
  if (bodiless) return { status, fields, body: "", rest, whole: true };
  if (all("transfer-encoding").length > 0) return { status, fields, ...chunksOf(rest) };
  const lengths = all("content-length");
  if (lengths.length !== 1) {
    // Only the connection's end can end it.
    if (lengths.length > 1) return `lengths: ${lengths}`;
    return { status, fields, body: rest, rest: "", whole: false };
  }
  const length = Number(lengths[0]);
  const body = rest.slice(0, length);
  return { status, fields, body, rest: rest.slice(length), whole: body.length === length };
}

export interface Answer {
  readonly status: number;
  readonly fields: readonly string[];
  readonly body: string;
  /** What follows. */
  readonly rest: string;
  /** False: the connection's end came first. */
  readonly whole: boolean;
}

function chunksOf(text: string): Pick<Answer, "body" | "rest" | "whole"> {
  let body = "";
  for (let rest = text;;) {
    const [head, digits] = /^([0-9a-f]{1,8})\r\n/i.exec(rest) ?? [];
    if (head === undefined) return { body, rest: "", whole: false };
    const size = parseInt(digits ?? "", 16);
    const data = rest.slice(head.length, head.length + size);
    body += data;
    const tail = rest.slice(head.length + size, head.length + size + 2);
    rest = rest.slice(head.length + size + 2);
    if (tail !== "\r\n") return { body, rest: "", whole: false };
    if (size === 0) return { body, rest, whole: true };
  }
}

/** All answers out of a connection's text, in the words of a row. */
export function tellAnswers(text: string, isHead: boolean, waits: boolean): string {
  const words: string[] = [];
  let first = true;
  for (let rest = text; rest !== "";) {
    const answer = nextAnswer(rest, isHead && first);
    if (typeof answer === "string") return answer;
    if (!answer.whole) return [...words, answer.status, "cut"].join(" ");
    const isControl = /^GET \/control\b/.test(answer.body);
    words.push(isControl ? "+" : String(answer.status));
    if (answer.status >= 200) first = false;
    rest = answer.rest;
  }
  if (waits) words.push("?");
  return words.join(" ") || "-";
}

export function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
