import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ClientGone, GatewayError, ProtocolError } from "../../lib/errors.ts";
import type { ByteSource, HeaderPair, Outcome, Reply, ReplyBody } from "../../lib/exchange.ts";
import { Gateway } from "../../lib/gateway.ts";
import type { Handler } from "../../lib/handler.ts";
import { Log } from "../../lib/observe/log.ts";
import { createTrust } from "../../lib/protocol/forwarding.ts";
import { Sweeper } from "../../lib/sweeper.ts";
import * as kinds from "../support/fake_kinds.ts";

const UTF8 = new TextEncoder();

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return UTF8.encode(text);
}

function reply(body: ReplyBody, status = 200, headers: readonly HeaderPair[] = []): Reply {
  return { type: "reply", status, headers, body };
}

/** A body of these pieces; remembers how it was let go of. */
class Pieces implements ByteSource {
  readonly #pieces: (string | Error)[];
  cancelled: Error | undefined;

  constructor(...pieces: (string | Error)[]) {
    this.#pieces = pieces;
  }
  read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const piece = this.#pieces.shift();
    if (piece instanceof Error) return Promise.reject(piece);
    return Promise.resolve(piece === undefined ? undefined : bytes(piece));
  }
  cancel(reason: Error): void {
    this.cancelled = reason;
  }
}

interface Scene {
  readonly gateway: Gateway;
  readonly sweeper: Sweeper;
  ask(path: string, init?: RequestInit): Response | Promise<Response>;
  access(): Promise<Record<string, unknown>[]>;
  log(): Promise<Record<string, unknown>[]>;
}

/** A gateway over the routes of a table, each served by the handler at its place. */
async function withGateway(
  { routes, server = "" }: { routes: string; server?: string },
  handlers: readonly Handler[],
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const text = `server: {accessLog: json, ${server}}\nroutes:\n${routes}`;
  const table = parseTable(text, { file: "t.yaml", folder: "/srv" }, kinds);
  const out = { text: "", write: (piece: Uint8Array) => append(out, piece) };
  const err = { text: "", write: (piece: Uint8Array) => append(err, piece) };
  const log = new Log("json", out, err);
  const sweeper = new Sweeper();
  const gateway = new Gateway({
    table,
    log,
    sweeper,
    trust: createTrust([]),
    routes: table.routes.map((config, index) => ({
      config,
      upstream: "upstream",
      service: {
        serve: handlers[index] ?? (() => reply(null)),
        async [Symbol.asyncDispose]() {},
      },
    })),
  });
  const local = { address: "192.0.2.1", port: 80 };
  const peer = { address: "192.0.2.9", port: 4000 };
  const lines = (text: string) =>
    text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  await body({
    gateway,
    sweeper,
    ask: (path, init) =>
      gateway.handle(new Request(`http://h${path}`, init), { local, peer, scheme: "http" }),
    access: async () => (await log.flush(), lines(out.text)),
    log: async () => (await log.flush(), lines(err.text)),
  });
  await gateway.idle();
  assert.equal(gateway.active, 0);
  assert.equal(sweeper.size, 0);
  sweeper.close();
  await log.flush();
}

function append(target: { text: string }, piece: Uint8Array): Promise<number> {
  target.text += new TextDecoder().decode(piece);
  return Promise.resolve(piece.length);
}

const ANY = "  - {path: /*, name: any, respond: x}\n";

Deno.test("Gateway answers without a promise what needs no waiting", async () => {
  await withGateway({ routes: ANY }, [() => reply(bytes("hi"))], async ({ ask, access }) => {
    const response = ask("/");
    assert.ok(response instanceof Response);
    assert.equal(await response.text(), "hi");
    const [line] = await access();
    assert.deepEqual([line?.["status"], line?.["bytes"], line?.["route"]], [200, 2, "any"]);
  });
});

Deno.test("Gateway maps what is thrown, at once or later, to the status of the table", async () => {
  const retry: [string, string][] = [["retry-after", "1"]];
  const faults: [thrown: unknown, status: number, failure: string | undefined][] = [
    [new GatewayError(503, "queue-full", "full", { headers: retry }), 503, "queue-full"],
    [new GatewayError(413, "body-too-large", "big"), 413, "body-too-large"],
    [new GatewayError(404, "no-script", "none"), 404, undefined],
    [new ProtocolError("bad-field", "odd"), 502, "bad-field"],
    [new ClientGone(), 499, undefined],
    [new TypeError("a bug"), 500, "internal"],
    ["not even an error", 500, "internal"],
  ];
  for (const [thrown, status, failure] of faults) {
    const atOnce = () => {
      throw thrown;
    };
    const later = () => Promise.reject(thrown);
    for (const handler of [atOnce, later]) {
      await withGateway({ routes: ANY }, [handler], async ({ ask, log, access }) => {
        const response = await ask("/secret");
        assert.equal(response.status, status);
        const [line] = await access();
        assert.equal(response.headers.get("x-request-id"), line?.["id"]);
        assert.match(await response.text(), /^\d{3} [\w ]*\nRequest id: \S+\n$/);
        assert.equal(response.headers.get("retry-after"), status === 503 ? "1" : null);
        const logged = (await log()).map((entry) => entry["failure"]);
        assert.deepEqual(logged, failure === undefined ? [] : [failure]);
      });
    }
  }
});

Deno.test("Gateway tells 404, 405 with Allow and 400 apart", async () => {
  const routes = "  - {path: /a, methods: [GET, PUT], respond: x}\n";
  await withGateway({ routes }, [() => reply(bytes("x"))], async ({ ask, access }) => {
    assert.equal((await ask("/b")).status, 404);
    const wrong = await ask("/a", { method: "POST" });
    assert.equal(wrong.status, 405);
    assert.equal(wrong.headers.get("allow"), "GET, HEAD, PUT");
    assert.equal((await ask("/a%00")).status, 400);
    assert.equal((await ask("/a", { headers: { host: "a/b" } })).status, 400);
    assert.equal((await ask("/a", { method: "HEAD" })).status, 200);
    // Every request has its line, also one that was refused before it was understood.
    const lines = (await access()).map(({ status, target, client }) => [status, target, client]);
    assert.deepEqual(lines, [
      [404, "/b", "192.0.2.9"],
      [405, "/a", "192.0.2.9"],
      [400, "/a%00", "192.0.2.9"],
      [400, "/a", "192.0.2.9"],
      [200, "/a", "192.0.2.9"],
    ]);
  });
});

Deno.test("Gateway explains a failure under server.dev alone", async () => {
  const fault = new GatewayError(502, "no-head", "why", { detail: "line <3>" });
  const handler = () => Promise.reject(fault);
  await withGateway({ routes: ANY, server: "dev: true" }, [handler], async ({ ask }) => {
    const response = await ask("/");
    assert.equal(
      (await response.text()).replace(/id: \S+/, "id: ID"),
      '502 Bad Gateway\nRequest id: ID\n\nno-head: why\nroute "any" (respond: upstream)\n\n' +
        "line <3>\n",
    );
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain/);
  });
});

Deno.test("Gateway applies a route's headers to its replies, not to error pages", async () => {
  const routes = "  - path: /*\n    respond: x\n    headers:\n" +
    "      {set: {X-Set: new, X-Both: new}, remove: [X-GONE]}\n";
  const headers: HeaderPair[] = [["x-gone", "1"], ["x-both", "old"], ["x-kept", "1"]];
  const handler: Handler = ({ path }) => {
    if (path === "/bad") throw new GatewayError(502, "x", "x");
    return reply(path === "/long" ? new Pieces("a", "b") : bytes("ab"), 200, headers);
  };
  await withGateway({ routes }, [handler], async ({ ask }) => {
    for (const path of ["/short", "/long"]) {
      const response = await ask(path);
      assert.equal(await response.text(), "ab");
      const fields = [...response.headers].filter(([name]) => name.startsWith("x-"));
      assert.deepEqual(fields, [["x-both", "new"], ["x-kept", "1"], ["x-set", "new"]]);
    }
    assert.equal((await ask("/bad")).headers.get("x-set"), null);
  });
});

Deno.test("Gateway follows ten local redirects, and not eleven", async () => {
  const handler: Handler = ({ query }): Outcome => {
    const left = Number(query);
    if (left === 0) return reply(bytes("there"));
    return { type: "local-redirect", target: `/?${left - 1}` };
  };
  const later: Handler = async (exchange, mount) => await handler(exchange, mount);
  for (const serve of [handler, later]) {
    await withGateway({ routes: ANY }, [serve], async ({ ask, access }) => {
      assert.equal(await (await ask("/?10")).text(), "there");
      assert.equal((await ask("/?11")).status, 508);
      const lines = await access();
      assert.deepEqual(lines.map(({ target }) => target), ["/?10", "/?11"], "as the client asked");
    });
  }
});

Deno.test("Gateway drops the body of a local redirect's request, and its fields", async () => {
  const seen: unknown[] = [];
  const handler: Handler = ({ path, method, headers, body }): Outcome => {
    if (path === "/from") return { type: "local-redirect", target: "/to" };
    seen.push(method, body, headers.get("content-type"), headers.get("x-a"));
    return reply(null, 204);
  };
  await withGateway({ routes: ANY }, [handler], async ({ ask }) => {
    const headers = { "content-type": "a/b", "x-a": "1" };
    await ask("/from", { method: "POST", body: "x", headers });
    await ask("/from", { method: "HEAD", headers });
    assert.deepEqual(seen, ["GET", null, null, "1", "HEAD", null, null, "1"]);
  });
});

Deno.test("Gateway streams a body and ends the request with it", async () => {
  const body = new Pieces("one", "two");
  await withGateway({ routes: ANY }, [() => reply(body)], async ({ ask, access, gateway }) => {
    const response = await ask("/");
    assert.equal(gateway.active, 1);
    assert.equal(await response.text(), "onetwo");
    assert.equal(gateway.active, 0);
    assert.equal((await access())[0]?.["bytes"], 6);
    assert.equal(body.cancelled, undefined);
  });
});

Deno.test("Gateway aborts a body that fails, and reports it once", async () => {
  const body = new Pieces("one", new ProtocolError("reply-cut", "it broke off"));
  await withGateway({ routes: ANY }, [() => reply(body)], async ({ ask, access, log }) => {
    const response = await ask("/");
    await assert.rejects(response.text());
    const [line, ...more] = await log();
    assert.deepEqual(
      [line?.["failure"], line?.["message"], line?.["status"]],
      ["reply-cut", "answer cut short: it broke off", 200],
    );
    assert.equal(more.length, 0);
    assert.equal((await access())[0]?.["bytes"], 3);
  });
});

Deno.test("Gateway lets go of a body that nobody is to see", async () => {
  const requests: [status: number, method: string][] = [[200, "HEAD"], [204, "GET"], [304, "GET"]];
  for (const [status, method] of requests) {
    const body = new Pieces("x");
    await withGateway({ routes: ANY }, [() => reply(body, status)], async ({ ask, access }) => {
      const response = await ask("/", { method });
      assert.equal(await response.text(), "");
      assert.ok(body.cancelled);
      assert.equal((await access())[0]?.["bytes"], 0);
    });
  }
});

Deno.test("Gateway tells the program when the client leaves its answer", async () => {
  const body = new Pieces("one", "two");
  await withGateway({ routes: ANY }, [() => reply(body)], async ({ ask, log, access }) => {
    const response = await ask("/");
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    assert.ok(body.cancelled instanceof ClientGone);
    assert.deepEqual(await log(), []);
    assert.equal((await access()).length, 1);
  });
});

Deno.test("Gateway cuts off a request whose client leaves before the answer", async () => {
  const client = new AbortController();
  let reason: Error | undefined;
  const handler: Handler = ({ lifeline }) =>
    new Promise((_, reject) =>
      lifeline.onCut((cut) => {
        reason = cut;
        reject(cut);
      })
    );
  await withGateway({ routes: ANY }, [handler], async ({ ask, log }) => {
    const answer = ask("/", { signal: client.signal });
    client.abort();
    assert.equal((await answer).status, 499);
    assert.ok(reason instanceof ClientGone);
    assert.deepEqual(await log(), []);
  });
});

Deno.test("Gateway cuts off a request whose time runs out", async () => {
  const handler: Handler = ({ lifeline }) => {
    lifeline.handOver();
    return new Promise((_, reject) => lifeline.onCut(() => reject(new Error("let go of"))));
  };
  const limits = { timeout: "timeout", firstByteTimeout: "first-byte-timeout" };
  for (const [option, failure] of Object.entries(limits)) {
    const routes = `  - {path: /*, respond: x, ${option}: 10ms}\n`;
    await withGateway({ routes }, [handler], async ({ ask, log }) => {
      assert.equal((await ask("/")).status, 504);
      assert.deepEqual((await log()).map((line) => line["failure"]), [failure]);
    });
  }
});

Deno.test("Gateway under onAbort finish is idle only when the program has finished", async () => {
  const routes = "  - {path: /*, respond: x, onAbort: finish}\n";
  const end = Promise.withResolvers<undefined>();
  const body: ByteSource = { read: () => end.promise, cancel: () => assert.fail("not to be") };
  await withGateway({ routes }, [() => reply(body)], async ({ ask, gateway, access }) => {
    await (await ask("/")).body?.cancel();
    assert.equal(gateway.active, 1);
    end.resolve(undefined);
    await gateway.idle();
    assert.equal((await access()).length, 1);
  });
});
