/**
 * proxy with `protocol: h2`, before an origin that refuses requests, passes them over as it goes, or goes
 * in their midst: who can be served is, by what the origin had sent or by another session.
 */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { failuresOf, hello, OK, type Script, withFrames } from "../support/framed.ts";
import { eventually } from "../support/gateway.ts";
import type { Frames } from "../upstreams/frame_origin.ts";

for (const requestBody of ["spool", "stream"]) {
  Deno.test(`proxy h2: a refused request goes out again, a POST with its body (${requestBody})`, async () => {
    const seen = new Set<number>();
    const script: Script = async (stream, frames) => {
      if (seen.size < 2) {
        seen.add(stream);
        await frames.reset(stream, 7);
      } else await hello(stream, frames);
    };
    await withFrames(script, async ({ port, log }, origin) => {
      const answer = await ask(port, { method: "POST", target: "/", body: "short" });
      assert.deepEqual([answer.status, answer.text, origin.requests], [200, "hello", 3]);
      assert.deepEqual([origin.received, origin.ended, await log()], [15, 3, ""]);
    }, { route: { requestBody } });
  });
}

const HEAD = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ";

Deno.test("proxy h2: an upload that is refused in its midst begins anew, and goes on", async () => {
  let refuse = () => {};
  const script: Script = async (stream, frames) => {
    if (stream > 1) return;
    await new Promise<void>((resolve) => refuse = resolve);
    await frames.reset(stream, 7);
  };
  await withFrames(script, async ({ port }, origin) => {
    using client = await Client.connect(port);
    await client.write(`${HEAD}30000\r\n\r\n${"x".repeat(10_000)}`);
    await eventually(() => origin.received === 10_000);
    refuse();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await client.write("x".repeat(20_000));
    await eventually(() => origin.received === 40_000 && origin.ended === 1);
    assert.equal(origin.requests, 2);
  }, { server: "drainTimeout: 100ms" });
});

Deno.test("proxy h2: an upload of which much was taken is not sent again", async () => {
  let refuse = () => {};
  const script: Script = async (stream, frames) => {
    await frames.enlarge(stream, 1_000_000);
    await new Promise<void>((resolve) => refuse = resolve);
    await frames.reset(stream, 7);
  };
  await withFrames(script, async (gateway, origin) => {
    using client = await Client.connect(gateway.port);
    await client.write(`${HEAD}300000\r\n\r\n${"x".repeat(200_000)}`);
    await eventually(() => origin.received === 200_000);
    refuse();
    assert.equal((await client.head()).status, 503);
    assert.deepEqual([origin.requests, await failuresOf(gateway)], [1, ["stream-refused"]]);
  });
});

Deno.test("proxy h2: a client that leaves while its upload is to go out again ends it", async () => {
  let refuse = () => {};
  const script: Script = async (stream, frames) => {
    await new Promise<void>((resolve) => refuse = resolve);
    await frames.reset(stream, 7);
  };
  await withFrames(script, async (gateway, origin) => {
    const client = await Client.connect(gateway.port);
    await client.write(`${HEAD}30000\r\n\r\n${"x".repeat(10_000)}`);
    await eventually(() => origin.received === 10_000);
    refuse();
    client.close();
    await eventually(async () => /"status":499/.test(await gateway.access()));
    assert.equal(origin.ended, 0);
  });
});

Deno.test("proxy h2: what an origin has sent whole before it closes is whole for all", async () => {
  const text = "whole".repeat(3000);
  const streams: number[] = [];
  const answer = async (stream: number, frames: Frames) => {
    await frames.head(stream, OK);
    await frames.data(stream, text, true);
  };
  const script: Script = async (stream, frames) => {
    if (frames.number > 1) return await answer(stream, frames);
    streams.push(stream);
    if (streams.length < 5) return;
    await frames.goAway(streams[2] ?? 0);
    for (const each of streams.slice(0, 3)) await answer(each, frames);
    frames.close();
  };
  await withFrames(script, async ({ port, log }, origin) => {
    const asked = Array.from({ length: 5 }, () => ask(port, { target: "/" }));
    for (const answer of await Promise.all(asked)) {
      assert.deepEqual([answer.status, answer.whole, answer.text === text], [200, true, true]);
    }
    assert.deepEqual([origin.requests, await log()], [7, ""]);
  });
});

Deno.test("proxy h2: what an origin passes over as it goes is served by another session", async () => {
  const script: Script = async (stream, frames) => {
    if (frames.number === 1 && stream > 1) await frames.goAway(1);
    else await hello(stream, frames);
  };
  await withFrames(script, async ({ port, log }, origin) => {
    for (let count = 0; count < 3; count++) {
      const { status, text } = await ask(port, { target: "/" });
      assert.deepEqual([status, text], [200, "hello"]);
    }
    assert.deepEqual([origin.connections, await log()], [2, ""]);
  });
});

Deno.test("proxy h2: requests under way outlive a GOAWAY that counts them in", async () => {
  const script: Script = async (stream, frames) => {
    await frames.head(stream, OK);
    await frames.goAway(stream);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await frames.data(stream, "hello", true);
  };
  await withFrames(script, async ({ port }, origin) => {
    for (const turn of [1, 2]) {
      assert.equal((await ask(port, { target: "/" })).text, "hello");
      assert.equal(origin.connections, turn);
    }
  });
});

Deno.test("proxy h2: a POST that was lost is not sent again, a GET on a session that had served is", async () => {
  for (const [method, wanted] of [["POST", 502], ["GET", 200]] as const) {
    const script: Script = async (stream, frames) => {
      if (frames.number === 1 && stream > 1) frames.close();
      else await hello(stream, frames);
    };
    await withFrames(script, async ({ port }) => {
      assert.equal((await ask(port, { target: "/" })).status, 200);
      assert.equal((await ask(port, { method, target: "/" })).status, wanted);
    });
  }
});
