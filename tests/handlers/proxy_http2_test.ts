/**
 * proxy with `protocol: h2`, before an origin that breaks every promise frame by frame. One that leaves, or
 * refuses requests, has a file of its own (proxy_http2_leaving_test.ts), and so have real servers
 * (proxy_http2_origins_test.ts).
 */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { failuresOf, hello, OK, type Script, tableOf, withFrames } from "../support/framed.ts";
import { eventually, withGateway } from "../support/gateway.ts";
import { serveFrames } from "../upstreams/frame_origin.ts";
import { serveRaw } from "../upstreams/raw_origin.ts";

Deno.test("proxy h2: requests share a session, more are opened when its streams are taken", async () => {
  const pending: (() => void)[] = [];
  const script: Script = async (stream, frames) => {
    await new Promise<void>((resolve) => pending.push(resolve));
    await hello(stream, frames);
  };
  await withFrames(script, async ({ port }, origin) => {
    const asked = Array.from({ length: 5 }, () => ask(port, { target: "/" }));
    await eventually(() => pending.length === 5);
    assert.equal(origin.connections, 3);
    for (const resolve of pending) resolve();
    for (const { status, text } of await Promise.all(asked)) {
      assert.deepEqual([status, text], [200, "hello"]);
    }
  }, { maxStreams: 2 });
});

Deno.test("proxy h2: no more requests at once than `pool.max`; others wait, or are turned away", async () => {
  const pending: (() => void)[] = [];
  const script: Script = async (stream, frames) => {
    await new Promise<void>((resolve) => pending.push(resolve));
    await hello(stream, frames);
  };
  await withFrames(script, async (gateway, origin) => {
    const first = ask(gateway.port, { target: "/" });
    await eventually(() => pending.length === 1);
    const second = ask(gateway.port, { target: "/" });
    const third = ask(gateway.port, { target: "/" });
    assert.equal((await Promise.race([second, third])).status, 503);
    pending.shift()?.();
    assert.equal((await first).status, 200);
    await eventually(() => pending.length === 1);
    pending.shift()?.();
    const statuses = (await Promise.all([second, third])).map(({ status }) => status);
    assert.deepEqual(statuses.sort(), [200, 503]);
    assert.deepEqual([origin.requests, await failuresOf(gateway)], [2, ["queue-full"]]);
  }, { fields: { pool: { max: 1, queue: 1 } } });
});

/** What an origin does after its head and a part of the body, and whether the body is whole then. */
const ENDINGS: Readonly<Record<string, readonly [boolean, [string, string][], Script]>> = {
  "an end": [true, [], (stream, frames) => frames.data(stream, "", true)],
  "an end by trailers": [true, [], (stream, frames) => frames.head(stream, [["x-sum", "1"]], true)],
  "an end, then a closed connection": [true, [], async (stream, frames) => {
    await frames.data(stream, "", true);
    frames.close();
  }],
  "an end, GOAWAY and a closed connection": [true, [], async (stream, frames) => {
    await frames.goAway(stream);
    await frames.data(stream, "", true);
    frames.close();
  }],
  "an end, then NO_ERROR": [true, [], async (stream, frames) => {
    await frames.data(stream, "", true);
    await frames.reset(stream, 0);
  }],
  "NO_ERROR in mid-body": [false, [], (stream, frames) => frames.reset(stream, 0)],
  "INTERNAL_ERROR": [false, [], (stream, frames) => frames.reset(stream, 2)],
  "CANCEL": [false, [], (stream, frames) => frames.reset(stream, 8)],
  "NO_ERROR before the length": [
    false,
    [["content-length", "9"]],
    (stream, frames) => frames.reset(stream, 0),
  ],
  "an end before the length": [
    false,
    [["content-length", "9"]],
    (stream, frames) => frames.data(stream, "", true),
  ],
  "more than the length": [
    false,
    [["content-length", "9"]],
    (stream, frames) => frames.data(stream, "more than that", true),
  ],
  "a closed connection": [false, [], (_stream, frames) => frames.close()],
  "GOAWAY, then a closed connection": [false, [], async (stream, frames) => {
    await frames.goAway(stream);
    frames.close();
  }],
};

for (const [what, [whole, fields, ending]] of Object.entries(ENDINGS)) {
  Deno.test(`proxy h2: a body that meets ${what} is ${whole ? "whole" : "cut"}`, async () => {
    let proceed = () => {};
    const script: Script = async (stream, frames) => {
      await frames.head(stream, [...OK, ...fields]);
      await frames.data(stream, "part");
      await new Promise<void>((resolve) => proceed = resolve);
      await ending(stream, frames);
    };
    await withFrames(script, async (gateway) => {
      using client = await Client.send(gateway.port, { target: "/" });
      const head = await client.head();
      assert.equal(head.status, 200);
      assert.equal(head.get("x-sum"), undefined);
      proceed();
      const rest = await client.body();
      assert.equal(rest.whole, whole);
      if (whole) assert.equal(rest.text, "part");
      else await eventually(async () => (await failuresOf(gateway)).join() === "reply-cut");
    });
  });
}

/** Answers that are none, and what the client and the log get. */
const FAULTS: Readonly<Record<string, readonly [number, string, Script]>> = {
  "a reset at once": [502, "no-output", (stream, frames) => frames.reset(stream, 2)],
  "a connection that closes": [502, "no-output", (_stream, frames) => frames.close()],
  "status 101": [
    502,
    "no-output",
    (stream, frames) => frames.head(stream, [[":status", "101"]], true),
  ],
  "status 999": [
    502,
    "bad-status",
    (stream, frames) => frames.head(stream, [[":status", "999"]], true),
  ],
  "a large head": [
    502,
    "head-too-large",
    (stream, frames) => frames.head(stream, [...OK, ["x-a", "a".repeat(2000)]], true),
  ],
  "two lengths": [
    502,
    "no-output",
    (stream, frames) =>
      frames.head(stream, [...OK, ["content-length", "1"], ["content-length", "2"]]),
  ],
  "silence": [504, "first-byte-timeout", () => {}],
  "streams always refused": [503, "stream-refused", (stream, frames) => frames.reset(stream, 7)],
};

for (const [what, [status, failure, script]] of Object.entries(FAULTS)) {
  Deno.test(`proxy h2: ${what}: ${status} ${failure}`, async () => {
    await withFrames(script, async (gateway) => {
      assert.equal((await ask(gateway.port, { target: "/" })).status, status);
      assert.deepEqual(await failuresOf(gateway), [failure], await gateway.log());
    }, { route: { firstByteTimeout: "300ms", maxReplyHead: 1024 } });
  });
}

Deno.test("proxy h2: the runtime drops a field with a control character, and hints are skipped", async () => {
  const script: Script = async (stream, frames) => {
    await frames.head(stream, [[":status", "103"], ["link", "</a>"]]);
    await frames.head(stream, [...OK, ["x-bad", "a\x01b"], ["x-good", "caf\xe9"]]);
    await frames.data(stream, "hello", true);
  };
  await withFrames(script, async ({ port }) => {
    const answer = await ask(port, { target: "/" });
    assert.deepEqual([answer.status, answer.text], [200, "hello"]);
    assert.deepEqual(["link", "x-bad", "x-good"].map(answer.get), [
      undefined,
      undefined,
      "caf\xe9",
    ]);
  });
});

const UPLOAD = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n";

Deno.test("proxy h2: an upload that breaks off is reset, never ended, and the session serves on", async () => {
  const script: Script = async (stream, frames) => {
    if (stream > 1) await hello(stream, frames);
  };
  await withFrames(script, async ({ port }, origin) => {
    const client = await Client.connect(port);
    await client.write(UPLOAD + "x".repeat(1000));
    await eventually(() => origin.requests === 1);
    client[Symbol.dispose]();
    await eventually(() => origin.resets.length === 1);
    assert.deepEqual([origin.resets, origin.ended], [[2], 0]);
    assert.equal((await ask(port, { target: "/" })).text, "hello");
    assert.equal(origin.connections, 1);
  });
});

Deno.test("proxy h2: an answer in mid-upload is delivered, and the upload stopped", async () => {
  const script: Script = async (stream, frames) => {
    await frames.head(stream, [[":status", "413"]]);
    await frames.data(stream, "too much", true);
  };
  await withFrames(script, async ({ port }, origin) => {
    using client = await Client.connect(port);
    await client.write(UPLOAD + "x".repeat(1000));
    assert.equal((await client.head()).status, 413);
    await eventually(() => origin.resets.length === 1);
    assert.deepEqual([origin.resets, origin.ended], [[2], 0]);
  });
});

Deno.test("proxy h2: an origin that takes nothing holds the upload back", async () => {
  // It never enlarges its window: no more than 65,535 bytes may come.
  await withFrames(() => {}, async ({ port }, origin) => {
    using client = await Client.connect(port);
    client.write(UPLOAD + "x".repeat(500_000)).catch(() => {});
    await eventually(() => origin.received === 65_535);
  }, { fields: {}, server: "drainTimeout: 100ms" });
});

Deno.test("proxy h2: who speaks no HTTP/2 is a 502, who says nothing a 504, nobody a 502", async () => {
  await using plain = serveRaw((_request, reply) => reply.write("HTTP/1.1 400 No\r\n\r\n"));
  await withGateway(tableOf(plain.url, { connectTimeout: "2s" }), async (gateway) => {
    const answer = await ask(gateway.port, { target: "/" });
    assert.deepEqual([answer.status, await failuresOf(gateway)], [502, ["no-http2"]]);
  });
  using mute = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `http://127.0.0.1:${mute.addr.port}`;
  await withGateway(tableOf(url, { connectTimeout: "200ms" }), async (gateway) => {
    const answer = await ask(gateway.port, { target: "/" });
    assert.deepEqual([answer.status, await failuresOf(gateway)], [504, ["connect-timeout"]]);
  });
  await using there = serveFrames(hello);
  await withGateway(tableOf(["http://127.0.0.1:1", there.url]), async ({ port }) => {
    assert.equal((await ask(port, { target: "/" })).text, "hello");
  });
});
