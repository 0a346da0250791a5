import assert from "node:assert/strict";
import { ProtocolError } from "../../lib/errors.ts";
import type { ByteSource } from "../../lib/exchange.ts";
import { replyOf } from "../../lib/io/reply.ts";
import { exchangeOf } from "../support/exchange.ts";
import { MemoryLog } from "../support/service_log.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A body of these pieces; tells whether it was let go of. */
class Pieces implements ByteSource {
  cancelled = false;
  readonly #pieces: string[];
  constructor(...pieces: string[]) {
    this.#pieces = pieces;
  }
  read(): Promise<Bytes | undefined> {
    const piece = this.#pieces.shift();
    return Promise.resolve(piece === undefined ? undefined : bytes(piece));
  }
  cancel(): void {
    this.cancelled = true;
  }
}

function bytes(text: string): Bytes {
  return new TextEncoder().encode(text);
}

interface Case {
  readonly promised?: number;
  readonly status?: number;
  readonly method?: string;
}

function make(body: Bytes | ByteSource, { promised, status = 200, method = "GET" }: Case) {
  const log = new MemoryLog();
  const head = { type: "reply", status, headers: [], contentLength: promised } as const;
  return { log, reply: replyOf(head, body, exchangeOf({ method }), log) };
}

/** What a body gives: its text, and whether it broke off. */
async function drain(body: unknown): Promise<[text: string, cut: boolean]> {
  if (body instanceof Uint8Array) return [new TextDecoder().decode(body), false];
  const source = body as ByteSource;
  let text = "";
  try {
    for (let piece = await source.read(); piece !== undefined; piece = await source.read()) {
      text += new TextDecoder().decode(piece);
    }
    return [text, false];
  } catch (error) {
    assert.ok(error instanceof ProtocolError && error.failure === "body-short");
    return [text, true];
  }
}

Deno.test("replyOf() passes a body on that promised nothing, or keeps its promise", async () => {
  for (const promised of [undefined, 5]) {
    const options = promised === undefined ? {} : { promised };
    for (const body of [bytes("hello"), new Pieces("he", "llo")]) {
      const { log, reply } = make(body, options);
      assert.deepEqual(await drain(reply.body), ["hello", false]);
      assert.deepEqual(log.notices, []);
    }
  }
});

Deno.test("replyOf() breaks off a body that is shorter than promised", async () => {
  for (const body of [bytes("hel"), new Pieces("h", "el")]) {
    assert.deepEqual(await drain(make(body, { promised: 5 }).reply.body), ["hel", true]);
  }
  for (const body of [bytes(""), new Pieces()]) {
    assert.deepEqual(await drain(make(body, { promised: 5 }).reply.body), ["", true]);
  }
});

Deno.test("replyOf() cuts a body that is longer than promised, and says so once", async () => {
  for (const pieces of [["hello, world"], ["hello", ", world"], ["hel", "lo, ", "world"]]) {
    for (const body of [bytes(pieces.join("")), new Pieces(...pieces)]) {
      const { log, reply } = make(body, { promised: 5 });
      assert.deepEqual(await drain(reply.body), ["hello", false]);
      assert.deepEqual(log.notices, ["The body exceeds its Content-Length 5: cut"]);
      if (body instanceof Pieces) assert.ok(body.cancelled);
    }
  }
});

Deno.test("replyOf() promises no body to HEAD, nor with 204 and 304", () => {
  const bodiless: Case[] = [{ method: "HEAD" }, { status: 204 }, { status: 304 }];
  for (const options of bodiless) {
    assert.equal(make(bytes("x"), { promised: 100, ...options }).reply.body, null);
    const source = new Pieces("x");
    // Whoever answers lets go of it.
    assert.equal(make(source, { promised: 100, ...options }).reply.body, source);
  }
});

Deno.test("replyOf() tells the program when its body is not wanted, unless it was cut", async () => {
  const source = new Pieces("abc");
  const { reply } = make(source, { promised: 10 });
  (reply.body as ByteSource).cancel(new Error("left"));
  assert.ok(source.cancelled);
  const long = new Pieces("abcdef");
  const body = make(long, { promised: 3 }).reply.body as ByteSource;
  await body.read();
  long.cancelled = false;
  body.cancel(new Error("left"));
  assert.equal(long.cancelled, false);
});
