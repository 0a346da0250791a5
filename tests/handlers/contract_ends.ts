/** Who ends the work early, and how soon: clients that leave, and times that run out. */
import assert from "node:assert/strict";
import { eventually } from "../support/gateway.ts";
import { flood, HANG, mark, OK, type Play, say, wait } from "../upstreams/play.ts";
import { linesOf, type Subject, testWithProbe, type Theatre } from "./contract.ts";

/** How soon a program is stopped whose client has left. */
const SOON_MS = 300;

export function testEnds(subject: Subject): void {
  testLeaving(subject);
  testFinishing(subject);
  testTimes(subject);
}

function testLeaving(subject: Subject): void {
  const plays: Record<string, Play> = {
    "before the head": [mark("begun"), HANG],
    "while the program is silent": [OK, say("first"), mark("begun"), HANG],
    "while the program writes": [OK, mark("begun"), flood(10_000)],
  };
  for (const [when, play] of Object.entries(plays)) {
    testWithProbe(
      subject,
      `a client that leaves ${when} stops the program (RFC 3875 §3.4)`,
      async (theatre) => {
        // A busy machine may be late once; a gateway that waits for something is late every time.
        const times = [];
        for (let round = 0; round < 3; round++) times.push(await timeToStop(theatre, play));
        assert.ok(Math.min(...times) <= SOON_MS, `stopped after ${times} ms`);
        await eventually(async () => (await linesOf(theatre.gateway.access())).length === 3);
        assert.deepEqual(await linesOf(theatre.gateway.log()), []);
      },
    );
  }
}

/** Milliseconds from hanging up to the program's end. */
async function timeToStop(theatre: Theatre, play: Play): Promise<number> {
  const before = await theatre.progress();
  const client = await theatre.send(play);
  if (play[0] === OK) await client.head();
  await eventually(async () => (await theatre.progress()).length > before.length);
  assert.ok(theatre.running() > 0);
  const left = performance.now();
  client.close();
  await eventually(() => theatre.running() === 0);
  return Math.round(performance.now() - left);
}

function testFinishing(subject: Subject): void {
  const plays: Record<string, Play> = {
    "before the head": [mark("begun"), wait(0.3), OK, say("x"), mark("finished")],
    "in the body": [OK, say("x"), mark("begun"), wait(0.3), say("y"), mark("finished")],
  };
  for (const [when, play] of Object.entries(plays)) {
    testWithProbe(
      subject,
      `onAbort finish: a program goes on when its client leaves ${when}`,
      async (theatre) => {
        const client = await theatre.send(play);
        if (play[0] === OK) await client.some();
        await eventually(async () => (await theatre.progress()).startsWith("begun"));
        client.close();
        await eventually(async () => await theatre.progress() === "begun\nfinished\n");
        await eventually(() => theatre.running() === 0);
        // What it left behind serves the next request as if nothing had been.
        assert.equal((await theatre.ask([OK, say("next")])).text, "next");
        assert.deepEqual(await linesOf(theatre.gateway.log()), []);
      },
      { route: { onAbort: "finish" } },
    );
  }
}

function testTimes(subject: Subject): void {
  testWithProbe(subject, "timeout: no answer in time is a 504 (RFC 3875 §6.1)", async (theatre) => {
    assert.equal((await theatre.ask([HANG])).status, 504);
    await eventually(() => theatre.running() === 0);
    assert.deepEqual((await linesOf(theatre.gateway.log())).map((line) => line.failure), [
      "timeout",
    ]);
  }, { route: { timeout: "200ms" } });

  testWithProbe(
    subject,
    "timeout: ends what nobody waits for, if nothing else does",
    async (theatre) => {
      // The runtime may not tell of a client that leaves between its upload and the answer.
      const client = await theatre.send([mark("begun"), HANG], {
        method: "POST",
        body: "x".repeat(9000),
      });
      await eventually(async () => await theatre.progress() === "begun\n");
      client.close();
      await eventually(() => theatre.running() === 0);
    },
    { route: { timeout: "300ms" } },
  );

  testWithProbe(subject, "timeout: an answer under way is cut off", async (theatre) => {
    const answer = await theatre.ask([OK, say("first"), HANG]);
    assert.equal(answer.whole, false);
    await eventually(() => theatre.running() === 0);
  }, { route: { timeout: "300ms" } });

  testWithProbe(subject, "firstByteTimeout: no head in time is a 504", async (theatre) => {
    assert.equal((await theatre.ask([HANG])).status, 504);
    await eventually(() => theatre.running() === 0);
    assert.deepEqual((await linesOf(theatre.gateway.log())).map((line) => line.failure), [
      "first-byte-timeout",
    ]);
  }, { route: { firstByteTimeout: "200ms" } });

  testWithProbe(subject, "firstByteTimeout: a body may take its time", async (theatre) => {
    const answer = await theatre.ask([OK, say("slow"), wait(0.5), say("ly")]);
    assert.equal(answer.text, "slowly");
    assert.ok(answer.whole);
  }, { route: { firstByteTimeout: "250ms" } });
}
