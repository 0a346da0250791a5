/** The cache around a service that does as it is told: what needs a hand on time, purges and closing. */
import assert from "node:assert/strict";
import { GatewayError } from "../../lib/errors.ts";
import type { Exchange, HeaderPair, Mount, Outcome, Reply } from "../../lib/exchange.ts";
import type { CacheOptions, Service } from "../../lib/handler.ts";
import { withCache } from "../../lib/io/cache.ts";
import { ResponseCache } from "../../lib/io/response_cache.ts";
import { exchangeOf } from "../support/exchange.ts";

const MOUNT: Mount = { scriptName: "", pathInfo: "/", params: {} };
const OPTIONS: CacheOptions = {
  maxSize: 1e6,
  maxEntry: 1e5,
  defaultTtlMs: 0,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  storeCookies: false,
  clientDirectives: false,
};

type Serve = (exchange: Exchange) => Outcome | Promise<Outcome>;

interface Bench {
  readonly cache: ResponseCache;
  readonly service: Service;
  readonly notices: string[];
  ask(changes?: Partial<Exchange>): Promise<Reply>;
}

function benchOf(serve: Serve, options: Partial<CacheOptions> = {}): Bench {
  const cache = new ResponseCache({ ...OPTIONS, ...options });
  const notices: string[] = [];
  const inner: Service = { serve, [Symbol.asyncDispose]: () => Promise.resolve() };
  const shared = { value: cache, [Symbol.asyncDispose]: () => Promise.resolve() };
  const log = { program: () => {}, notice: (message: string) => notices.push(message) };
  const service = withCache(inner, shared, { log, timeoutMs: 50 });
  return {
    cache,
    service,
    notices,
    async ask(changes = {}) {
      const outcome = await service.serve(exchangeOf(changes), MOUNT);
      assert.ok(outcome.type === "reply");
      return outcome;
    },
  };
}

function replyOf(...headers: HeaderPair[]): Reply {
  return { type: "reply", status: 200, headers, body: new TextEncoder().encode("body") };
}

function statusOf({ headers }: Reply): string {
  return headers.find(([name]) => name === "cache-status")?.[1] ?? "";
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("withCache() keeps nothing for all of what a client got whom the gateway knows", async () => {
  let count = 0;
  const { ask } = benchOf(() =>
    replyOf(["cache-control", "max-age=60"], ["x-count", `${++count}`])
  );
  const known = { variables: [["REMOTE_USER", "ann"]] as HeaderPair[] };
  await ask(known);
  assert.match(statusOf(await ask()), /uri-miss/);
  assert.match(statusOf(await ask()), /hit/);
  assert.match(statusOf(await ask(known)), /bypass/);
  assert.equal(count, 3);
});

Deno.test("withCache() answers a hit without a promise", async () => {
  const { ask, service } = benchOf(() => replyOf(["cache-control", "max-age=60"]));
  await ask();
  assert.ok(!(service.serve(exchangeOf(), MOUNT) instanceof Promise));
});

Deno.test("withCache() sends a stale copy when a time limit ends the fetch", async () => {
  let isSlow = false;
  const { ask } = benchOf(({ lifeline }) => {
    if (!isSlow) return replyOf(["cache-control", "max-age=1, stale-if-error=60"], ["age", "1"]);
    return new Promise((_, reject) => lifeline.onCut(reject));
  });
  await ask();
  isSlow = true;
  const exchange = exchangeOf();
  const asking = ask(exchange);
  exchange.lifeline.cut(new GatewayError(504, "first-byte-timeout", "Too slow"));
  assert.match(statusOf(await asking), /fwd=stale; detail=stale-if-error/);
});

Deno.test("withCache() tells those who wait of a failure, so that they need not all try", async () => {
  let count = 0;
  const { ask } = benchOf(async () => {
    count++;
    await pause(20);
    throw new GatewayError(502, "no-head", "It died");
  });
  const asking = [ask(), ask(), ask()];
  for (const one of asking) await assert.rejects(one, /It died/);
  assert.equal(count, 1);
});

Deno.test("withCache() does not keep what was under way when it was purged", async () => {
  const { ask, cache } = benchOf(async () => {
    await pause(20);
    return replyOf(["cache-control", "max-age=60"], ["surrogate-key", "a"]);
  });
  for (const what of [{ url: "http://example.org/" }, { tag: "a" }, { all: true }] as const) {
    const asking = ask();
    await pause(5);
    cache.purge(what);
    await asking;
    assert.equal(cache.store.count, 0);
  }
  await ask();
  assert.equal(cache.store.count, 1);
  assert.equal(cache.purge({ tag: "a" }), 1);
});

Deno.test("withCache() ends a renewal that takes too long, and goes on with the copy", async () => {
  let isSlow = false;
  const bench = benchOf(({ lifeline }) => {
    if (!isSlow) {
      return replyOf(["cache-control", "max-age=1, stale-while-revalidate=60"], ["age", "1"]);
    }
    return new Promise((_, reject) => lifeline.onCut(reject));
  });
  await bench.ask();
  isSlow = true;
  assert.match(statusOf(await bench.ask()), /hit; ttl=-?\d/);
  await pause(100);
  assert.match(bench.notices.join(), /Cannot renew the copy of http:\/\/example.org\//);
  assert.match(statusOf(await bench.ask()), /hit/);
  assert.equal(bench.notices.length, 1);
});

Deno.test("withCache() ends its renewals when the route is closed", async () => {
  let isSlow = false;
  let cut: Error | undefined;
  const { ask, service } = benchOf(({ lifeline }) => {
    if (!isSlow) {
      return replyOf(["cache-control", "max-age=1, stale-while-revalidate=60"], ["age", "1"]);
    }
    return new Promise((_, reject) => {
      lifeline.onCut((reason) => {
        cut = reason;
        reject(reason);
      });
    });
  });
  await ask();
  isSlow = true;
  await ask();
  await service[Symbol.asyncDispose]();
  assert.match(cut?.message ?? "", /closed/);
});

Deno.test("withCache() lets a local redirect through, and a WebSocket's request as it is", async () => {
  const redirect: Outcome = { type: "local-redirect", target: "/else" };
  const seen: Exchange[] = [];
  const { service } = benchOf((exchange) => {
    seen.push(exchange);
    return redirect;
  });
  const exchange = exchangeOf({ headers: new Headers({ upgrade: "websocket" }) });
  assert.equal(await service.serve(exchange, MOUNT), redirect);
  assert.equal(seen[0], exchange);
  assert.equal(await service.serve(exchangeOf(), MOUNT), redirect);
});

Deno.test("withCache() keeps bytes of its own: whoever made them may use their memory again", async () => {
  const bytes = new TextEncoder().encode("first");
  const headers: HeaderPair[] = [["cache-control", "max-age=60"]];
  const { ask } = benchOf(() => ({ type: "reply", status: 200, headers, body: bytes }));
  await ask();
  bytes.fill(0);
  const { body } = await ask();
  assert.ok(body instanceof Uint8Array);
  assert.equal(new TextDecoder().decode(body), "first");
});
