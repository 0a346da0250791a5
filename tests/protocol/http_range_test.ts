import assert from "node:assert/strict";
import fc from "fast-check";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";
import {
  type ByteRange,
  chooseRanges,
  contentRange,
  frameSlices,
  unsatisfiedRange,
} from "../../lib/protocol/http_range.ts";

/** As the table writes a choice: `0-5 7-9` (ends not included), `whole` or `unsatisfiable`. */
function told(field: string | null, size: number): string {
  const choice = chooseRanges(field, size);
  if (choice.type !== "slices") return choice.type;
  return choice.slices.map(({ start, end }) => `${start}-${end}`).join(" ");
}

const rows: [field: string | null, size: number, choice: string][] = [
  [null, 10, "whole"],
  // §14.1.2
  ["bytes=0-4", 10, "0-5"],
  ["bytes=5-5", 10, "5-6"],
  ["bytes=0-", 10, "0-10"],
  ["bytes=9-", 10, "9-10"],
  ["bytes=-3", 10, "7-10"],
  ["bytes=-30", 10, "0-10"],
  ["bytes=3-99", 10, "3-10"],
  ["bytes=0-99999999999999999999999999", 10, "0-10"],
  ["BYTES=0-4", 10, "0-5"],
  // §14.1.1: OWS and empty elements in a list.
  ["bytes= 0-1 ,,\t3-4,", 10, "0-2 3-5"],
  // §15.5.17
  ["bytes=10-", 10, "unsatisfiable"],
  ["bytes=10-20, 30-", 10, "unsatisfiable"],
  ["bytes=99999999999999999999999999-", 10, "unsatisfiable"],
  ["bytes=-0", 10, "unsatisfiable"],
  ["bytes=0-", 0, "unsatisfiable"],
  ["bytes=0-0", 0, "unsatisfiable"],
  ["bytes=-0", 0, "unsatisfiable"],
  // All of nothing, which Content-Range cannot say.
  ["bytes=-5", 0, "whole"],
  // What lies past the end is left out.
  ["bytes=0-1, 50-60", 10, "0-2"],
  // §15.3.7.2: in the order in which they were asked for, neighbours made one.
  ["bytes=8-9, 0-1", 10, "8-10 0-2"],
  ["bytes=0-1, 2-3, 4-5", 10, "0-6"],
  ["bytes=0-1, 2-3, 6-", 10, "0-4 6-10"],
  ["bytes=0-0, -1", 10, "0-1 9-10"],
  // §17.15: the same bytes twice.
  ["bytes=0-5, 5-9", 10, "whole"],
  ["bytes=0-, 0-, 0-", 10, "whole"],
  ["bytes=4-5, 0-9", 10, "whole"],
  ["bytes=0-0, -1", 1, "whole"],
  // Malformed or of another unit: ignored (§14.2).
  ["bytes=4-3", 10, "whole"],
  ["bytes=0-1, 4-3", 10, "whole"],
  ["bytes=20-3", 10, "whole"],
  ["bytes=", 10, "whole"],
  ["bytes=,", 10, "whole"],
  ["bytes=-", 10, "whole"],
  ["bytes=--1", 10, "whole"],
  ["bytes=1", 10, "whole"],
  ["bytes=a-b", 10, "whole"],
  ["bytes=0x0-1", 10, "whole"],
  ["bytes=+0-1", 10, "whole"],
  ["bytes=0 -1", 10, "whole"],
  ["bytes=0-1;2-3", 10, "whole"],
  ["bytes 0-1", 10, "whole"],
  ["bytes =0-1", 10, "whole"],
  ["items=0-1", 10, "whole"],
  ["0-1", 10, "whole"],
  ["", 10, "whole"],
];

for (const [field, size, choice] of rows) {
  Deno.test(`chooseRanges() ${JSON.stringify(field)} of ${size} bytes: ${choice}`, () => {
    assert.equal(told(field, size), choice);
  });
}

Deno.test("chooseRanges() ignores more than 100 ranges", () => {
  const every = (count: number) => Array.from({ length: count }, (_, at) => `${2 * at}-${2 * at}`);
  assert.equal(told(`bytes=${every(100)}`, 1000).split(" ").length, 100);
  assert.equal(told(`bytes=${every(101)}`, 1000), "whole");
  assert.equal(told(`bytes=${"9999-,".repeat(101)}`, 1000), "whole");
});

const spec = fc.oneof(
  fc.tuple(fc.nat(40), fc.nat(40)).map(([first, last]) => `${first}-${last}`),
  fc.nat(40).map((first) => `${first}-`),
  fc.nat(40).map((length) => `-${length}`),
);
const field = fc.array(spec, { minLength: 1, maxLength: 6 }).map((set) => `bytes=${set.join()}`);

Deno.test("chooseRanges() never leaves the file, nor gives a byte twice, nor an empty slice", () => {
  fc.assert(
    fc.property(field, fc.nat(30), (text, size) => {
      const choice = chooseRanges(text, size);
      if (choice.type !== "slices") return;
      assert.ok(choice.slices.length > 0);
      const seen = new Set<number>();
      for (const { start, end } of choice.slices) {
        assert.ok(0 <= start && start < end && end <= size, `${start}-${end} of ${size}`);
        for (let at = start; at < end; at++) {
          assert.ok(!seen.has(at), `byte ${at} twice`);
          seen.add(at);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("chooseRanges() takes any text", () => {
  const text = fc.string({ unit: fc.constantFrom(..."0123456789-,= \tbytes") });
  fc.assert(fc.property(text, fc.nat(30), (set, size) => {
    assert.match(chooseRanges(`bytes=${set}`, size).type, /^(whole|slices|unsatisfiable)$/);
  }));
});

Deno.test("contentRange() and unsatisfiedRange() write RFC 9110 §14.4", () => {
  assert.equal(contentRange({ start: 42, end: 1234 }, 2000), "bytes 42-1233/2000");
  assert.equal(unsatisfiedRange(47_022), "bytes */47022");
});

Deno.test("frameSlices() frames RFC 9110 §14.6", () => {
  const slices = [{ start: 500, end: 1000 }, { start: 7000, end: 8000 }];
  const framing = { size: 8000, type: "application/pdf", boundary: "THIS" };
  const { type, pieces, length } = frameSlices(slices, framing);
  const bytes = pieces.map((piece) => piece instanceof Uint8Array ? latin1FromBytes(piece) : piece);
  assert.equal(type, "multipart/byteranges; boundary=THIS");
  assert.deepEqual(bytes, [
    "--THIS\r\nContent-Type: application/pdf\r\nContent-Range: bytes 500-999/8000\r\n\r\n",
    slices[0],
    "\r\n--THIS\r\nContent-Type: application/pdf\r\nContent-Range: bytes 7000-7999/8000\r\n\r\n",
    slices[1],
    "\r\n--THIS--\r\n",
  ]);
  assert.equal(length, bytes.filter((one) => typeof one === "string").join("").length + 1500);
});

Deno.test("frameSlices() leaves out a Content-Type that is not known", () => {
  const framing = { size: 9, type: undefined, boundary: "B" };
  const [head] = frameSlices([{ start: 0, end: 1 }, { start: 2, end: 3 }], framing).pieces;
  assert.ok(head instanceof Uint8Array);
  assert.equal(latin1FromBytes(head), "--B\r\nContent-Range: bytes 0-0/9\r\n\r\n");
});

/** Reads a multipart body as a client would: by its delimiters and its heads. */
function readParts(body: string, boundary: string): { range: ByteRange; text: string }[] {
  assert.ok(body.endsWith(`\r\n--${boundary}--\r\n`), body);
  return `\r\n${body}`.split(`\r\n--${boundary}`).slice(1, -1).map((part) => {
    const [, start, last] = /^\r\nContent-Range: bytes (\d+)-(\d+)\/\d+\r\n\r\n/.exec(part) ?? [];
    const text = part.slice(part.indexOf("\r\n\r\n") + 4);
    return { range: { start: Number(start), end: Number(last) + 1 }, text };
  });
}

Deno.test("frameSlices() gives parts that hold the file's slices, and the length of them all", () => {
  const file = "abcdefghijklmnopqrstuvwxyz0123";
  fc.assert(
    fc.property(field, (text) => {
      const choice = chooseRanges(text, file.length);
      if (choice.type !== "slices") return;
      const framing = { size: file.length, type: undefined, boundary: "XX" };
      const { pieces, length } = frameSlices(choice.slices, framing);
      const body = pieces.map((piece) =>
        piece instanceof Uint8Array ? latin1FromBytes(piece) : file.slice(piece.start, piece.end)
      ).join("");
      assert.equal(body.length, length);
      const parts = readParts(body, "XX");
      assert.deepEqual(parts.map(({ range }) => range), choice.slices);
      for (const { range, text } of parts) assert.equal(text, file.slice(range.start, range.end));
    }),
    { numRuns: 500 },
  );
});
