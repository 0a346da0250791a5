/**
 * A corpus of HTTP/2 by raw frames, over plain sockets, where the runtime takes it too: what the tables say is answered, reset or
 * ends the connection, and nothing reaches the application that they do not name.
 */
import assert from "node:assert/strict";
import { converse, GREETING } from "./http2_frames.ts";
import { BEGINNINGS, CONNECTIONS, type FrameRow, STREAMS } from "./requests/http2.ts";
import { type Scene, withScene } from "./wire.ts";

const CONTROL_SEEN = "GET /control @a.test";

/** Plays all rows, each on a connection of its own. */
async function play(
  { gateway, taken }: Scene,
  rows: readonly FrameRow[],
  { greeting, connect }: { greeting: string; connect: () => Promise<Deno.Conn> },
): Promise<void> {
  for (const [what, sends, answers, ...seen] of rows) {
    const words = await converse(await connect(), greeting + sends, answers);
    assert.equal(words, answers, what);
    const reached = await taken();
    // What was reset may or may not have got so far.
    const certain = !/reset|goaway|^\+$/.test(answers);
    const allowed = [...seen, ...(answers.endsWith("+") ? [CONTROL_SEEN] : [])];
    if (certain) assert.deepEqual(reached.sort(), allowed.sort(), what);
    else assert.deepEqual(reached.filter((one) => !allowed.includes(one)), [], what);
  }
  assert.doesNotMatch(await gateway.log(), /failure=internal|Unhandled|at file:/);
}

const plainly = ({ gateway: { port } }: Scene) => () =>
  Deno.connect({ hostname: "127.0.0.1", port });

Deno.test(`${STREAMS.length} raw HTTP/2 requests`, async () => {
  await withScene(async (scene) => {
    await play(scene, STREAMS, { greeting: GREETING, connect: plainly(scene) });
  });
});

Deno.test(`${CONNECTIONS.length + BEGINNINGS.length} raw HTTP/2 connections`, async () => {
  await withScene(async (scene) => {
    await play(scene, CONNECTIONS, { greeting: GREETING, connect: plainly(scene) });
    await play(scene, BEGINNINGS, { greeting: "", connect: plainly(scene) });
  });
});
