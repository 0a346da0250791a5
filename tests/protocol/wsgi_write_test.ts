import assert from "node:assert/strict";
import { ClientGone } from "../../lib/errors.ts";
import type { Write } from "../../lib/protocol/wsgi.ts";
import {
  answerOf,
  bytes,
  listOf,
  pieces,
  PLAIN,
  settle,
  sourceOf,
  Stage,
  textOf,
} from "../support/wsgi_call.ts";

const WRITE = 'PEP 3333 "The write() Callable"';
const LENGTH = 'PEP 3333 "Handling the Content-Length Header"';

Deno.test(`write() comes before all that is iterated (${WRITE})`, async () => {
  const answer = await answerOf((_environ, start) => {
    const write = start("200 OK", PLAIN);
    write(bytes("a"));
    write(bytes("b"));
    return pieces("c", "d");
  });
  assert.deepEqual(answer.body, bytes("abcd"));
});

Deno.test(`write() comes before what a generator yields (${WRITE})`, async () => {
  const answer = await answerOf((_environ, start) => {
    const write = start("200 OK", PLAIN);
    write(bytes("a"));
    return new Set(pieces("b", "c"));
  });
  assert.deepEqual(await listOf(answer.body), ["a", "b", "c"]);
});

Deno.test(`write() sends the head while the application goes on (${WRITE})`, async () => {
  const gate = Promise.withResolvers<void>();
  const stage = new Stage();
  const answer = await stage.run(async (_environ, start) => {
    const write = start("200 OK", PLAIN);
    await write(bytes("first"));
    await gate.promise;
    await write(bytes("second"));
    return pieces("third");
  });
  assert.equal(answer.head.status, 200);
  const source = sourceOf(answer);
  assert.deepEqual(await source.read(), bytes("first"));
  assert.equal(stage.released, 0);
  gate.resolve();
  assert.deepEqual(await listOf(source), ["second", "third"]);
  assert.equal(stage.released, 1);
});

Deno.test(`write() resolves when the piece is taken: back-pressure (${WRITE})`, async () => {
  const events: string[] = [];
  const answer = await answerOf(async (_environ, start) => {
    const write = start("200 OK", PLAIN);
    for (const text of ["a", "b"]) {
      await write(bytes(text));
      events.push(text);
    }
    return [];
  });
  await settle();
  assert.deepEqual(events, []);
  const source = sourceOf(answer);
  await source.read();
  await settle();
  assert.deepEqual(events, ["a"]);
  await source.read();
  assert.equal(await source.read(), undefined);
  assert.deepEqual(events, ["a", "b"]);
});

Deno.test(`write() inside a generator is no deadlock (${WRITE})`, async () => {
  const answer = await answerOf(async function* (_environ, start) {
    const write = start("200 OK", PLAIN);
    await write(bytes("a"));
    yield bytes("b");
    await write(bytes("c"));
    yield bytes("d");
  });
  assert.deepEqual(await listOf(answer.body), ["a", "b", "c", "d"]);
});

Deno.test(`write() of nothing sends the head and no piece (${WRITE})`, async () => {
  const gate = Promise.withResolvers<void>();
  const answer = await answerOf(async (_environ, start) => {
    await start("200 OK", PLAIN)(bytes(""));
    assert.throws(() => start("500 Oops", PLAIN, new Error("late")), /late/);
    await gate.promise;
    return pieces("a");
  });
  gate.resolve();
  assert.deepEqual(await listOf(answer.body), ["a"]);
});

Deno.test(`the head stands after the first write() (${WRITE})`, async () => {
  const cause = new Error("too late");
  const answer = await answerOf(async (_environ, start) => {
    await start("200 OK", PLAIN)(bytes("a"));
    start("500 Oops", PLAIN, cause);
    return [];
  });
  const source = sourceOf(answer);
  await source.read();
  await assert.rejects(source.read(), { failure: "application-error", cause });
});

Deno.test(`an error after a write() lets that piece go out first (${WRITE})`, async () => {
  const answer = await answerOf(async (_environ, start) => {
    const write = start("200 OK", PLAIN);
    write(bytes("a"));
    write(bytes("b"));
    return await Promise.reject(new Error("after all"));
  });
  const source = sourceOf(answer);
  assert.deepEqual(await source.read(), bytes("a"));
  assert.deepEqual(await source.read(), bytes("b"));
  await assert.rejects(source.read(), /after all/);
});

Deno.test("an application that wrote and failed at once is a 500: nothing was sent", async () => {
  const answer = answerOf((_environ, start) => {
    start("200 OK", PLAIN)(bytes("a"));
    throw new Error("at once");
  });
  await assert.rejects(answer, { failure: "application-error", status: 500 });
});

Deno.test(`write() wants bytes (${WRITE})`, async () => {
  for (const data of ["text", 1, null, undefined, new ArrayBuffer(1)]) {
    const answer = answerOf((_environ, start) => {
      (start("200 OK", PLAIN) as (data: unknown) => void)(data);
      return [];
    });
    await assert.rejects(answer, { failure: "wsgi-piece" });
  }
});

Deno.test(`write() rejects once the client is gone (${WRITE})`, async () => {
  let seen: unknown;
  const stage = new Stage();
  const answer = await stage.run(async (_environ, start) => {
    const write = start("200 OK", PLAIN);
    await write(bytes("a"));
    await write(bytes("b")).catch((reason) => seen = reason);
    await assert.rejects(write(bytes("c")), ClientGone);
    return [];
  });
  const source = sourceOf(answer);
  await source.read();
  await settle();
  source.cancel(new ClientGone());
  await settle();
  assert(seen instanceof ClientGone);
  assert.equal(stage.released, 1);
});

Deno.test(`write() that nobody waits for brings nothing down (${WRITE})`, async () => {
  const source = sourceOf(
    await answerOf((_environ, start) => {
      const write = start("200 OK", PLAIN);
      for (const text of ["a", "b", "c"]) write(bytes(text));
      return new Set<Uint8Array>();
    }),
  );
  source.cancel(new ClientGone());
  await settle();
});

Deno.test(`write() rejects after the end (${WRITE})`, async () => {
  const kept: Write[] = [];
  const answer = await answerOf((_environ, start) => {
    kept.push(start("200 OK", PLAIN));
    return pieces("all");
  });
  assert.equal(await textOf(answer), "all");
  for (const write of kept) await assert.rejects(write(bytes("more")), /the response is complete/);
});

Deno.test(`write() refuses more than Content-Length promised (${LENGTH})`, async () => {
  const answer = answerOf((_environ, start) => {
    const write = start("200 OK", [["Content-Length", "3"]]);
    write(bytes("ab"));
    write(bytes("cd"));
    return [];
  });
  await assert.rejects(answer, { failure: "wsgi-content-length", status: 500 });
});
