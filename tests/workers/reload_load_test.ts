/**
 * Reloads under load: short requests over kept connections, slow uploads and event streams, while the
 * table changes again and again. None fails, none is cut.
 */
import assert from "node:assert/strict";
import { answers, LISTEN, reload, type Site, withWorkers } from "../support/workers.ts";

/** Ten events a second for four seconds, and an upload that is counted as it comes. */
const STREAMS = `export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/upload") {
      let count = 0;
      for await (const piece of request.body) count += piece.length;
      return new Response(String(count));
    }
    let timer;
    let number = 0;
    const body = new ReadableStream({
      start(controller) {
        timer = setInterval(() => {
          controller.enqueue(new TextEncoder().encode("data: " + number + "\\n\\n"));
          if (++number === 40) {
            clearInterval(timer);
            controller.close();
          }
        }, 100);
      },
      cancel: () => clearInterval(timer),
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  },
};
`;

const table = (word: string) =>
  `  - {path: /v, respond: ${word}}
  - {path: /upload, requestBody: stream, wsgi: ./streams.ts}
  - {path: /events, wsgi: ./streams.ts}`;

/** Whole events, and no more. */
async function events(base: string): Promise<void> {
  const text = await (await fetch(`${base}/events`)).text();
  const expected = Array.from({ length: 40 }, (_, number) => `data: ${number}\n\n`).join("");
  assert.equal(text, expected);
}

/** A body that takes some seconds. */
async function upload(base: string): Promise<void> {
  const piece = new Uint8Array(1000);
  let left = 40;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (left-- > 0) controller.enqueue(piece);
      else controller.close();
    },
  });
  const response = await fetch(`${base}/upload`, { method: "POST", body });
  assert.deepEqual([response.status, await response.text()], [200, "40000"]);
}

interface Load {
  readonly requests: number;
  readonly reloads: number;
}

async function underLoad(site: Site, server: string, { requests, reloads }: Load): Promise<void> {
  const { base } = site.running;
  const state = { over: false, left: requests, served: 0 };
  // Both are always on their way, until the last reload is over.
  const during = async (work: (base: string) => Promise<void>) => {
    let times = 0;
    do {
      await work(base);
      times++;
    } while (!state.over);
    return times;
  };
  const long = [0, 1, 2, 3].flatMap(() => [during(upload), during(events)]);
  const short = Array.from({ length: 16 }, async () => {
    const seen = new Set<string>();
    while (state.left-- > 0 || !state.over) {
      const response = await fetch(`${base}/v`);
      const text = await response.text();
      assert.equal(response.status, 200, text);
      state.served++;
      seen.add(text);
    }
    return seen;
  });
  const all = Promise.all([Promise.all(long), Promise.all(short)]);
  const failed = { now: false };
  all.catch(() => failed.now = true);
  for (let round = 1; round <= reloads && !failed.now; round++) {
    await site.write(server, table(`word${round}`));
    await reload(site, "Reloaded");
    // They shall fall on all of the load, however fast it is.
    const due = requests * round / reloads;
    while (state.served < due && !failed.now) await new Promise((done) => setTimeout(done, 10));
  }
  state.over = true;
  const [times, seen] = await all;
  assert.ok(state.served >= requests, `${state.served} requests`);
  assert.ok(Math.min(...times) >= 1);
  assert.ok(new Set(seen.flatMap((words) => [...words])).size > reloads / 2);
  assert.deepEqual(await answers(`${base}/v`), new Set([`word${reloads}`]));
}

async function reloading(workers: number, load: Load): Promise<void> {
  const server = `${LISTEN}, workers: ${workers}, accessLog: off`;
  await withWorkers(server, "  - {path: /v, respond: word0}", async (site) => {
    await Deno.writeTextFile(`${site.folder}/streams.ts`, STREAMS);
    await site.write(server, table("word0"));
    await reload(site, "Reloaded");
    await underLoad(site, server, load);
    site.running.signal("SIGTERM");
    const { code, err } = await site.running.ended;
    assert.equal(code, 0);
    const lines = err.trimEnd().split("\n").filter((line) => !line.includes("Reloaded"));
    assert.deepEqual(lines, []);
  });
}

Deno.test("50 reloads under 20,000 requests, uploads and event streams: none fails or is cut", () =>
  reloading(1, { requests: 20_000, reloads: 50 }));

Deno.test("10 reloads of two workers under load: none fails or is cut", () =>
  reloading(2, { requests: 4000, reloads: 10 }));
