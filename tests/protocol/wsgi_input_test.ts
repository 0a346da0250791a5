import assert from "node:assert/strict";
import fc from "fast-check";
import { ClientGone } from "../../lib/errors.ts";
import { BodyInput } from "../../lib/protocol/wsgi_input.ts";
import { cuts } from "../support/cuts.ts";
import { bodyOf, bytes } from "../support/wsgi_call.ts";

const STREAMS = 'PEP 3333 "Input and Error Streams"';

function inputOf(...chunks: string[]): BodyInput {
  return new BodyInput(bodyOf(chunks.map(bytes)));
}

function text(piece: Uint8Array): string {
  return new TextDecoder("latin1").decode(piece);
}

Deno.test(`read() gives all that is left (${STREAMS})`, async () => {
  const input = inputOf("hello ", "", "world");
  assert.equal(text(await input.read(3)), "hel");
  assert.equal(text(await input.read()), "lo world");
});

Deno.test(`read(size) gives size bytes, however they came (${STREAMS})`, async () => {
  const input = inputOf("a", "bc", "def", "g");
  assert.equal(text(await input.read(4)), "abcd");
  assert.equal(text(await input.read(0)), "");
  assert.equal(text(await input.read(100)), "efg");
});

Deno.test(`read() gives nothing at the end, again and again (${STREAMS})`, async () => {
  for (const input of [inputOf("a"), inputOf(), inputOf(""), new BodyInput(null)]) {
    await input.read();
    assert.equal((await input.read()).length, 0);
    assert.equal((await input.read(5)).length, 0);
    assert.equal((await input.readline()).length, 0);
    assert.deepEqual(await input.readlines(), []);
  }
});

Deno.test("read() takes a negative size, null or undefined for all", async () => {
  for (const size of [-1, null, undefined]) {
    assert.equal(text(await inputOf("ab", "c").read(size as number)), "abc");
  }
});

Deno.test("read() refuses a size that is no number", async () => {
  await assert.rejects(inputOf("a").read(NaN), TypeError);
  await assert.rejects(inputOf("a").read("x" as unknown as number), TypeError);
});

Deno.test(`readline() gives a line with its line feed (${STREAMS})`, async () => {
  const input = inputOf("on", "e\ntw", "o\n\nfour");
  const lines = [];
  for (let at = 0; at < 5; at++) lines.push(text(await input.readline()));
  assert.deepEqual(lines, ["one\n", "two\n", "\n", "four", ""]);
});

Deno.test(`readline(size) gives at most size bytes of a line (${STREAMS})`, async () => {
  const input = inputOf("abc", "def\ngh");
  const lines = [];
  for (let at = 0; at < 4; at++) lines.push(text(await input.readline(4)));
  assert.deepEqual(lines, ["abcd", "ef\n", "gh", ""]);
});

Deno.test(`readlines(hint) stops after the line that reaches hint (${STREAMS})`, async () => {
  const input = inputOf("a\nbb\nccc\n");
  assert.deepEqual((await input.readlines(3)).map(text), ["a\n", "bb\n"]);
  assert.deepEqual((await input.readlines()).map(text), ["ccc\n"]);
  assert.equal((await inputOf("a\nb\n").readlines(0)).length, 2);
});

Deno.test(`iteration gives the lines that are left (${STREAMS})`, async () => {
  const input = inputOf("a\nb", "b\nc");
  await input.readline();
  const lines = [];
  for await (const line of input) lines.push(text(line));
  assert.deepEqual(lines, ["bb\n", "c"]);
});

Deno.test("two reads at once are refused: they would tear the body apart", async () => {
  const input = inputOf("abc");
  const first = input.read(1);
  await assert.rejects(input.read(1), /under way/);
  assert.equal(text(await first), "a");
  assert.equal(text(await input.read(1)), "b");
});

Deno.test("a body that breaks off rejects, and stays broken", async () => {
  const input = new BodyInput({
    length: 5,
    bytes: undefined,
    read: () => Promise.reject(new ClientGone()),
    close: () => {},
  });
  await assert.rejects(input.read(), ClientGone);
  await assert.rejects(input.readline(), ClientGone);
});

Deno.test(`an application finds nothing to close on its input (${STREAMS})`, () => {
  const names = Object.getOwnPropertyNames(BodyInput.prototype);
  assert.deepEqual(names.toSorted(), ["constructor", "read", "readline", "readlines"]);
});

/** What reads a program makes, one after another. */
const program = fc.array(
  fc.oneof(
    fc.record({ call: fc.constant("read" as const), size: fc.integer({ min: -1, max: 9 }) }),
    fc.record({ call: fc.constant("readline" as const), size: fc.integer({ min: -1, max: 9 }) }),
    fc.record({ call: fc.constant("readlines" as const), size: fc.integer({ min: -1, max: 9 }) }),
  ),
  { minLength: 1, maxLength: 12 },
);

const body = fc.array(fc.constantFrom("\n", "\r", "a", "\xe9", "\0"), { maxLength: 24 })
  .map((chars) => Uint8Array.from(chars, (char) => char.charCodeAt(0)));

type Program = readonly { readonly call: "read" | "readline" | "readlines"; size: number }[];

async function run(input: BodyInput, calls: Program): Promise<string[]> {
  const results: string[] = [];
  for (const { call, size } of calls) {
    const result = await input[call](size);
    results.push(Array.isArray(result) ? result.map(text).join("|") : text(result));
  }
  results.push(text(await input.read()));
  return results;
}

/** The same on a string that is there as a whole. */
function expected(whole: string, calls: Program): string[] {
  let rest = whole;
  const take = (count: number) => {
    const taken = rest.slice(0, count);
    rest = rest.slice(taken.length);
    return taken;
  };
  const line = (limit: number) => take(Math.min((rest.indexOf("\n") + 1) || rest.length, limit));
  const results = calls.map(({ call, size }) => {
    const limit = size < 0 ? Infinity : size;
    if (call === "read") return take(limit);
    if (call === "readline") return line(limit);
    const lines: string[] = [];
    for (let total = 0; rest !== "" && total < (limit || Infinity);) {
      const next = line(Infinity);
      lines.push(next);
      total += next.length;
    }
    return lines.join("|");
  });
  return [...results, rest];
}

Deno.test(`any cut of the body gives the same reads, as from a file (${STREAMS})`, async () => {
  const cut = fc.array(fc.nat({ max: 24 }), { maxLength: 6 });
  await fc.assert(fc.asyncProperty(body, cut, program, async (whole, cut, calls) => {
    const borders = [0, ...cut.map((at) => Math.min(at, whole.length)), whole.length];
    borders.sort((a, b) => a - b);
    const chunks = borders.slice(1).map((end, at) => whole.subarray(borders[at], end));
    const got = await run(new BodyInput(bodyOf(chunks)), calls);
    assert.deepEqual(got, expected(text(whole), calls));
  }));
});

Deno.test("lines are the same for every cut in two", async () => {
  const whole = bytes("one\ntwo\r\n\nlast");
  for (const chunks of cuts(whole)) {
    const lines = [];
    for await (const line of new BodyInput(bodyOf(chunks))) lines.push(text(line));
    assert.deepEqual(lines, ["one\n", "two\r\n", "\n", "last"]);
  }
});

Deno.test("what an application was given is its own", async () => {
  const chunk = bytes("abc");
  const given = await new BodyInput(bodyOf([chunk])).read();
  chunk.fill(0);
  assert.equal(text(given), "abc");
});
