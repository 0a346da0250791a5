import assert from "node:assert/strict";
import { ClientGone } from "../../lib/errors.ts";
import type { Application, FileLike } from "../../lib/protocol/wsgi.ts";
import { wrapFile } from "../../lib/protocol/wsgi_file.ts";
import { answerOf, bytes, listOf, PLAIN, settle, sourceOf, textOf } from "../support/wsgi_call.ts";

const FILES = 'PEP 3333 "Optional Platform-Specific File Handling"';

/** Something that reads like a file, from a position on. */
class Text implements FileLike {
  closed = 0;
  position = 0;
  readonly #bytes: Uint8Array;
  constructor(text: string) {
    this.#bytes = bytes(text);
  }
  read(into: Uint8Array): Promise<number | null> {
    const part = this.#bytes.subarray(this.position, this.position + into.length);
    into.set(part);
    this.position += part.length;
    return Promise.resolve(part.length === 0 ? null : part.length);
  }
  close(): void {
    this.closed++;
  }
}

function sending(file: FileLike, blockSize?: number): Application {
  return (environ, start) => {
    start("200 OK", PLAIN);
    return environ["wsgi.file_wrapper"](file, blockSize);
  };
}

Deno.test(`file_wrapper sends what reads like a file, and closes it once (${FILES})`, async () => {
  const file = new Text("all of it");
  const answer = await answerOf(sending(file, 4));
  assert.deepEqual(await listOf(answer.body), ["all ", "of i", "t"]);
  await settle();
  assert.equal(file.closed, 1);
});

Deno.test(`file_wrapper begins at the current position (${FILES})`, async () => {
  const file = new Text("head tail");
  file.position = 5;
  assert.equal(await textOf(await answerOf(sending(file))), "tail");
});

Deno.test(`file_wrapper reads nothing before it is iterated (${FILES})`, () => {
  const file = new Text("x");
  wrapFile(file);
  assert.equal(file.position, 0);
  assert.equal(file.closed, 0);
});

Deno.test(`file_wrapper closes the file when the client leaves (${FILES})`, async () => {
  const file = new Text("long enough");
  const source = sourceOf(await answerOf(sending(file, 2)));
  await source.read();
  source.cancel(new ClientGone());
  await settle();
  assert.equal(file.closed, 1);
  assert(file.position < 11);
});

Deno.test(`file_wrapper does without close() (${FILES})`, async () => {
  let left = 2;
  const file = {
    read: (into: Uint8Array) => Promise.resolve(left-- > 0 ? (into[0] = 65, 1) : null),
  };
  assert.equal(await textOf(await answerOf(sending(file))), "AA");
});

Deno.test(`file_wrapper's blocks are not used again (${FILES})`, async () => {
  const source = sourceOf(await answerOf(sending(new Text("aabb"), 2)));
  const first = await source.read();
  await source.read();
  assert.deepEqual(first, bytes("aa"));
  await source.read();
});

Deno.test(`file_wrapper may be iterated by middleware (${FILES})`, async () => {
  const file = new Text("abc");
  const answer = await answerOf(async function* (environ, start) {
    start("200 OK", PLAIN);
    const result = environ["wsgi.file_wrapper"](file, 1);
    for await (const piece of result) yield bytes(new TextDecoder().decode(piece).toUpperCase());
    await result.close?.();
  });
  assert.equal(await textOf(answer), "ABC");
  assert.equal(file.closed, 1);
});

Deno.test(`file_wrapper refuses what cannot be read, and odd block sizes (${FILES})`, () => {
  for (const file of [null, undefined, {}, "name.txt", bytes("x")]) {
    assert.throws(() => wrapFile(file as unknown as FileLike), { failure: "wsgi-file" });
  }
  for (const size of [0, -1, 1.5, NaN, Infinity]) {
    assert.throws(() => wrapFile(new Text("x"), size), { failure: "wsgi-file" });
  }
});
