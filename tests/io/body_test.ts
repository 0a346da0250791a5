import assert from "node:assert/strict";
import fc from "fast-check";
import { ClientGone, GatewayError } from "../../lib/errors.ts";
import type { Exchange, SizedBody } from "../../lib/exchange.ts";
import { declaredLength, sizeBody } from "../../lib/io/body.ts";
import { Spool } from "../../lib/io/spool.ts";
import { byteStreamOf, silentStream } from "../support/byte_stream.ts";
import { exchangeOf } from "../support/exchange.ts";
import { spoolFiles } from "../support/spool_files.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Mode = "spool" | "stream";

const MODES: readonly Mode[] = ["spool", "stream"];
const MIB = 2 ** 20;

function bytes(length: number): Bytes {
  return Uint8Array.from({ length }, (_, index) => index % 251);
}

/** A request with this body; `host` marks it as HTTP/1.1. */
function upload(
  body: ReadableStream<Bytes> | null,
  headers: Record<string, string> = { "transfer-encoding": "chunked" },
): Exchange {
  return exchangeOf({ method: "POST", body, headers: new Headers({ host: "h", ...headers }) });
}

async function withSpool(
  body: (
    size: (exchange: Exchange, mode: Mode, max?: number) => Promise<SizedBody | null>,
  ) => Promise<void>,
  quota = 10 * MIB,
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-body-" });
  const spool = new Spool(folder, quota);
  try {
    await body((exchange, mode, max = 8 * MIB) => sizeBody(exchange, { mode, max, spool }));
    assert.equal(spool.used, 0);
    assert.deepEqual(spoolFiles(folder), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function readAll(body: SizedBody | null): Promise<Bytes> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let piece = await body?.read(); piece !== undefined; piece = await body?.read()) {
    pieces.push(piece.slice());
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

function isFailure(status: number, failure: string) {
  return (error: unknown) =>
    error instanceof GatewayError && error.status === status && error.failure === failure;
}

Deno.test("sizeBody() is null where there is no body", async () => {
  await withSpool(async (size) => {
    for (const mode of MODES) {
      assert.equal(await size(upload(null), mode), null);
      // POST with neither length nor coding: RFC 9112 §6.3.
      assert.equal(await size(upload(byteStreamOf(), {}), mode), null);
    }
  });
});

Deno.test("sizeBody() takes a body without a length from HTTP/2, which frames its own", async () => {
  await withSpool(async (size) => {
    const headers = new Headers();
    for (const mode of MODES) {
      const body = await size(exchangeOf({ headers, body: byteStreamOf(bytes(10)) }), mode);
      assert.deepEqual(await readAll(body), bytes(10));
      assert.equal(body?.length, mode === "spool" ? 10 : undefined);
    }
  });
});

Deno.test("sizeBody() gives the length and all of the body, whatever its size", async () => {
  for (const length of [0, 1, 65_536, MIB, MIB + 1, 3 * MIB]) {
    await withSpool(async (size) => {
      for (const mode of MODES) {
        const whole = bytes(length);
        const pieces = [whole.slice(0, length / 3), whole.slice(length / 3)];
        const body = await size(upload(byteStreamOf(...pieces)), mode);
        assert.equal(body?.length, mode === "spool" ? length : undefined);
        assert.equal(body?.bytes !== undefined, mode === "spool" && length <= MIB);
        assert.deepEqual(await readAll(body), whole);
        body?.close();
      }
    });
  }
});

Deno.test("sizeBody() takes a plain stream, as bodies come that arrived with the head", async () => {
  await withSpool(async (size) => {
    for (const length of [0, 1, 300, 100_000]) {
      for (const mode of MODES) {
        for (const headers of [{ "content-length": `${length}` }, undefined]) {
          const whole = bytes(length);
          const body = ReadableStream.from(length === 0 ? [] : [whole.slice()]);
          assert.deepEqual(await readAll(await size(upload(body, headers), mode)), whole);
        }
      }
    }
  });
});

Deno.test("a body is read the same borrowed piece by piece, each valid until the next", async () => {
  await withSpool(async (size) => {
    const whole = bytes(2 * MIB + 5);
    for (const mode of MODES) {
      const body = await size(
        upload(byteStreamOf(whole.slice(0, 70_000), whole.slice(70_000))),
        mode,
      );
      let at = 0;
      for (let piece = await body?.read(true); piece; piece = await body?.read(true)) {
        assert.deepEqual(piece, whole.subarray(at, at += piece.length));
      }
      assert.equal(at, whole.length);
    }
  });
});

Deno.test("sizeBody() takes an HTTP/2 body that ends as the client leaves for cut off", async () => {
  await withSpool(async (size) => {
    for (const mode of MODES) {
      const exchange = exchangeOf({ body: byteStreamOf(bytes(10)) });
      const reading = assert.rejects(size(exchange, mode).then(readAll), ClientGone);
      setTimeout(() => exchange.lifeline.cut(new ClientGone()), 20);
      await reading;
    }
  });
});

Deno.test("sizeBody() knows a declared length beforehand in either mode", async () => {
  await withSpool(async (size) => {
    for (const mode of MODES) {
      const body = await size(upload(byteStreamOf(bytes(5)), { "content-length": "5" }), mode);
      assert.equal(body?.length, 5);
      assert.equal((await readAll(body)).length, 5);
    }
  });
});

Deno.test("sizeBody() refuses a declared length past the limit, unread", async () => {
  await withSpool(async (size) => {
    for (const mode of MODES) {
      let cancelled = false;
      const body = silentStream(() => void (cancelled = true));
      await assert.rejects(
        size(upload(body, { "content-length": "11" }), mode, 10),
        isFailure(413, "body-too-large"),
      );
      assert.ok(cancelled);
    }
  });
});

Deno.test("sizeBody() refuses a body that grows past the limit, in memory or in a file", async () => {
  for (const max of [10, 2 * MIB]) {
    await withSpool(async (size) => {
      const tooMuch = () => upload(byteStreamOf(bytes(max), bytes(1), bytes(1)));
      const refused = isFailure(413, "body-too-large");
      await assert.rejects(size(tooMuch(), "spool", max), refused);
      const streamed = await size(tooMuch(), "stream", max);
      await assert.rejects(readAll(streamed), refused);
    });
  }
});

Deno.test("sizeBody() takes a body that breaks off for a client that left", async () => {
  for (const before of [5, 2 * MIB]) {
    await withSpool(async (size) => {
      const broken = () => upload(byteStreamOf(bytes(before), new Error("reset")));
      const cutShort = () =>
        upload(byteStreamOf(bytes(before)), { "content-length": `${before + 1}` });
      for (const request of [broken, cutShort]) {
        await assert.rejects(size(request(), "spool"), ClientGone);
        const streamed = await size(request(), "stream");
        await assert.rejects(readAll(streamed), ClientGone);
      }
    });
  }
});

Deno.test("sizeBody() gives up when the request is cut off", async () => {
  await withSpool(async (size) => {
    const spooled = upload(silentStream());
    const spooling = assert.rejects(size(spooled, "spool"), /time/);
    spooled.lifeline.cut(new Error("time is up"));
    await spooling;
    const streamed = upload(silentStream());
    const reading = assert.rejects(readAll(await size(streamed, "stream")), /time/);
    streamed.lifeline.cut(new Error("time is up"));
    await reading;
  });
});

Deno.test("sizeBody() refuses what the spool has no room for", async () => {
  await withSpool(async (size) => {
    const body = () => upload(byteStreamOf(bytes(MIB), bytes(MIB)));
    await assert.rejects(size(body(), "spool"), isFailure(503, "spool-full"));
  }, MIB + 1);
});

Deno.test("a body that is closed before it was read leaves nothing behind", async () => {
  await withSpool(async (size) => {
    for (const mode of MODES) {
      for (const length of [5, 2 * MIB]) {
        const body = await size(upload(byteStreamOf(bytes(length))), mode);
        body?.close();
        body?.close();
      }
    }
  });
});

Deno.test("a streamed body that is not wanted any more just ends", async () => {
  await withSpool(async (size) => {
    const body = await size(upload(silentStream(), { "content-length": "10" }), "stream");
    const reading = body?.read();
    body?.close();
    assert.equal(await reading, undefined);
  });
});

Deno.test("declaredLength() reads digits, and the same number twice", () => {
  const lengths: Record<string, number> = { "0": 0, "5": 5, "5, 5": 5, "007": 7 };
  for (const [text, length] of Object.entries(lengths)) {
    assert.equal(declaredLength(new Headers({ "content-length": text })), length);
  }
  assert.equal(declaredLength(new Headers()), undefined);
});

Deno.test("declaredLength() refuses everything else", () => {
  const odd = ["", "-1", "+1", "0x5", "5, 6", "1e3", "5.", "9007199254740993", "five", "5,"];
  const refused = isFailure(400, "bad-content-length");
  for (const text of odd) {
    assert.throws(() => declaredLength(new Headers({ "content-length": text })), refused, text);
  }
  fc.assert(fc.property(fc.string(), (text) => {
    if (!/^[\x20-\x7e]*$/.test(text) || /^\s*\d+\s*(,\s*\d+\s*)*$/.test(text)) return;
    assert.throws(() => declaredLength(new Headers({ "content-length": text })), refused);
  }));
});
