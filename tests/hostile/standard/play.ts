/**
 * Plays rows against a server that sends all it gets to an application, which keeps what reached it. One
 * way for every server: only its address differs.
 */
import { serveRaw } from "../../upstreams/raw_origin.ts";
import { latin1, tellAnswers } from "../wire.ts";
import { CONTROL } from "../requests/row.ts";
import { bytesOf, nameOf, passes, type Row } from "./row.ts";

/** What came of a row. */
export interface Outcome {
  /** As a pass's `answers`. */
  readonly answers: string;
  /** What reached the application whole, the control request apart where it was answered. */
  readonly seen: readonly string[];
  readonly heads: readonly string[];
  /** The answers as they came. */
  readonly text: string;
}

/** How long nothing must come for it to be called waiting. */
const SILENCE_MS = 400;
/** The same where that was not foreseen: it may be the machine that is slow. */
const LONG_SILENCE_MS = 6000;
const LIMIT_MS = 20_000;

interface Seen {
  readonly head: string;
  readonly told: Promise<string>;
}

/**
 * The names of the rows that fail at the server that `serving` starts before an application at that URL.
 * Rows of `foreseen` are known to.
 */
export async function failuresOf(
  rows: readonly Row[],
  foreseen: ReadonlySet<string>,
  serving: (origin: string, body: (port: number) => Promise<void>) => Promise<void>,
): Promise<Map<string, Outcome>> {
  const seen: Seen[] = [];
  await using origin = serveRaw(async (request, reply) => {
    const [method = "", target = ""] = request.line.split(" ");
    const told = request.body().then(
      (body) => `${method} ${target}${body && ` ${JSON.stringify(body)}`}`,
      () => `${method} ${target} cut`,
    );
    seen.push({ head: request.head, told });
    await reply.write(answerTo(method, target, await told));
  });
  const failures = new Map<string, Outcome>();
  await serving(origin.url, async (port) => {
    for (const row of rows) {
      let outcome = await play(port, row, seen, SILENCE_MS);
      if (passes(row, outcome) === foreseen.has(nameOf(row)) && outcome.answers.endsWith("?")) {
        outcome = await play(port, row, seen, LONG_SILENCE_MS);
      }
      if (!passes(row, outcome)) failures.set(nameOf(row), outcome);
    }
  });
  return failures;
}

function answerTo(method: string, target: string, told: string): Uint8Array {
  if (target === "/nothing") return latin1("HTTP/1.1 204 No Content\r\n\r\n");
  const isHead = method === "HEAD";
  if (target === "/stream") {
    const body = isHead ? "" : `${told.length.toString(16)}\r\n${told}\r\n0\r\n\r\n`;
    return latin1(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
  }
  const text = new TextEncoder().encode(told);
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n`;
  return new Uint8Array([...latin1(head), ...(isHead ? [] : text)]);
}

async function play(port: number, row: Row, seen: Seen[], silenceMs: number): Promise<Outcome> {
  const { sends, isAlone } = bytesOf(row);
  const { text, waits } = await converse(port, latin1(sends + (isAlone ? "" : CONTROL)), silenceMs);
  const all = seen.splice(0);
  const told = await Promise.all(all.map((one) => one.told));
  // A body that broke off may be told of late, beside the next row: it says nothing of either.
  const whole = all.map(({ head }, at) => ({ head, told: told[at] ?? "" }))
    .filter(({ told }) => !told.endsWith(" cut"));
  const answers = tellAnswers(text, sends.startsWith("HEAD "), waits);
  const last = whole.findLastIndex(({ told }) => told === "GET /control");
  if (answers.endsWith("+")) whole.splice(last, 1);
  return {
    answers,
    seen: whole.map(({ told }) => told),
    heads: whole.map(({ head }) => head),
    text,
  };
}

/** Sends all and reads to the end, or until nothing more comes: then the server is told that it is over. */
async function converse(
  port: number,
  bytes: Uint8Array<ArrayBuffer>,
  silenceMs: number,
): Promise<{ text: string; waits: boolean }> {
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  let text = "";
  let waits = false;
  const limit = setTimeout(() => socket.close(), LIMIT_MS);
  const silent = () => {
    waits = true;
    socket.closeWrite().catch(() => {});
  };
  let silence = setTimeout(silent, silenceMs);
  const writing = writeAll(socket, bytes);
  const buffer = new Uint8Array(65_536);
  try {
    for (let count = await socket.read(buffer); count !== null; count = await socket.read(buffer)) {
      if (waits) continue;
      clearTimeout(silence);
      for (const byte of buffer.subarray(0, count)) text += String.fromCharCode(byte);
      silence = setTimeout(silent, silenceMs);
    }
  } catch {
    // Reset: what came before it counts.
  }
  clearTimeout(silence);
  clearTimeout(limit);
  await writing;
  try {
    socket.close();
  } catch {
    // The time limit did.
  }
  return { text, waits };
}

async function writeAll(socket: Deno.Conn, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
  } catch {
    // Refused before all was sent: the answer is there to be read.
  }
}
