/** A body that is read again from its beginning gives what it gave, as long as little was read. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { SizedBody } from "../../lib/exchange.ts";
import { KeptBody } from "../../lib/io/kept_body.ts";

/** Every piece lies in the same memory, as a reader may have it that lends. */
function lending(pieces: readonly Uint8Array[]): SizedBody {
  const memory = new Uint8Array(65_536);
  let at = 0;
  return {
    length: undefined,
    bytes: undefined,
    read() {
      const piece = pieces[at++];
      if (at > pieces.length + 1) throw new Error("Read behind its end");
      memory.set(piece ?? []);
      return Promise.resolve(piece && memory.subarray(0, piece.length));
    },
    close() {},
  };
}

Deno.test("KeptBody gives the same from its beginning, wherever it was left", async () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 9 }), { maxLength: 8 });
  await fc.assert(fc.asyncProperty(pieces, fc.array(fc.nat(9)), async (pieces, stops) => {
    const body = new KeptBody(lending(pieces));
    for (const stop of stops) {
      for (let count = 0; count < stop; count++) {
        assert.deepEqual(await body.read(true), pieces[count]);
        if (count === pieces.length) break;
      }
      assert.ok(body.isKept);
      body.rewind();
    }
    for (const piece of [...pieces, undefined]) assert.deepEqual(await body.read(true), piece);
  }));
});

Deno.test("KeptBody keeps 128 KiB and no more, and gives the rest as it comes", async () => {
  const pieces = [1, 2, 3].map((value) => new Uint8Array(65_536).fill(value));
  const body = new KeptBody(lending(pieces));
  for (const [at, piece] of pieces.entries()) {
    assert.deepEqual(await body.read(true), piece);
    assert.equal(body.isKept, at < 2);
  }
  assert.equal(await body.read(true), undefined);
});
