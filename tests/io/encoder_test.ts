/** Content codings as streams: what goes in comes out, at any cut, and nothing is held back. */
import assert from "node:assert/strict";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import type { ByteSource } from "../../lib/exchange.ts";
import { EncodedSource } from "../../lib/io/compression.ts";
import { Encoder, encodeWhole } from "../../lib/io/encoder.ts";
import { type Coding, CODINGS } from "../../lib/protocol/content_coding.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const DECODERS: Readonly<Record<Coding, (bytes: Bytes) => Uint8Array>> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

function decoded(coding: Coding, pieces: readonly Bytes[]): Bytes {
  return new Uint8Array(DECODERS[coding](new Uint8Array(pieces.flatMap((piece) => [...piece]))));
}

const bytes = fc.uint8Array({ maxLength: 4096 }).map((array) => new Uint8Array(array));

for (const coding of CODINGS) {
  Deno.test(`Encoder(${coding}) gives what goes in, however it is cut`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(bytes, { maxLength: 8 }), async (pieces) => {
        const encoder = new Encoder(coding);
        const out: Bytes[] = [];
        for (const piece of pieces) out.push(await encoder.push(piece));
        out.push(await encoder.end());
        assert.deepEqual(
          decoded(coding, out),
          new Uint8Array(pieces.flatMap((piece) => [...piece])),
        );
      }),
      { numRuns: 40 },
    );
  });

  Deno.test(`encodeWhole(${coding}) gives what goes in`, () => {
    fc.assert(
      fc.property(bytes, (whole) => {
        assert.deepEqual(decoded(coding, [encodeWhole(coding, whole)]), whole);
      }),
      { numRuns: 40 },
    );
  });

  Deno.test(`Encoder(${coding}) lets the loop go round while a long piece is compressed`, async () => {
    const encoder = new Encoder(coding);
    const long = crypto.getRandomValues(new Uint8Array(65_536));
    // Long enough for many turns, however fast the machine is; a loop that stands still has none.
    const mib = coding === "zstd" ? 32 : 8;
    const piece = new Uint8Array(mib * 2 ** 20).map((_, at) => (long[at % 65_536] ?? 0) & 0x3f);
    let rounds = 0;
    const timer = setInterval(() => rounds++, 0);
    const out = [await encoder.push(piece), await encoder.end()];
    clearInterval(timer);
    assert.ok(rounds >= 2, `the loop went round ${rounds} times`);
    assert.equal(
      DECODERS[coding](new Uint8Array(await new Blob(out).arrayBuffer())).length,
      piece.length,
    );
  });
}

function sourceOf(
  pieces: readonly (Bytes | Error)[],
): ByteSource & { readonly reason: () => string } {
  const left = [...pieces];
  let reason = "";
  return {
    read: () => {
      const piece = left.shift();
      return piece instanceof Error ? Promise.reject(piece) : Promise.resolve(piece);
    },
    cancel: (error) => reason = error.message,
    reason: () => reason,
  };
}

Deno.test("EncodedSource passes a failure on, and never ends as if whole", async () => {
  const source = new EncodedSource(
    sourceOf([new Uint8Array([1]), new Error("broken off")]),
    "gzip",
  );
  assert.ok(((await source.read())?.length ?? 0) > 0);
  await assert.rejects(source.read(), /broken off/);
});

Deno.test("EncodedSource hands a cancellation on", async () => {
  const source = sourceOf([new Uint8Array([1]), new Uint8Array([2])]);
  const encoded = new EncodedSource(source, "br");
  await encoded.read();
  encoded.cancel(new Error("left"));
  assert.equal(source.reason(), "left");
});
