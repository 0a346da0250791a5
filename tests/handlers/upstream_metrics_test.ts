/** What is counted of each address of an upstream, and how often requests were sent again. */
import assert from "node:assert/strict";
import { type Family, readExposition, valueOf } from "../support/exposition.ts";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { freePort, tempFolder } from "../support/peers.ts";
import { serveClosing } from "../upstreams/closing_responder.ts";
import { serveFastcgiProbe } from "../upstreams/fastcgi_probe.ts";
import { formatPlay, OK, say } from "../upstreams/play.ts";
import { serveRaw } from "../upstreams/raw_origin.ts";

const HELLO = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

function tableOf(route: Readonly<Record<string, unknown>>): string {
  const routes = JSON.stringify([{ path: "/*", ...route }]);
  return `admin: {listen: "127.0.0.1:0"}\nroutes: ${routes}\n`;
}

async function scrape({ admin }: TestGateway): Promise<Family[]> {
  return readExposition(await (await fetch(`${admin}/metrics`)).text(), "plain");
}

/** Requests, failures, and whether it is up. */
function fareOf(families: readonly Family[], upstream: string) {
  return [
    "portico_upstream_requests_total",
    "portico_upstream_failures_total",
    "portico_upstream_up",
  ]
    .map((name) => valueOf(families, name, { upstream }));
}

async function ask({ base }: TestGateway, headers: Record<string, string> = {}): Promise<string> {
  return await (await fetch(base, { headers })).text();
}

Deno.test("each of several origins is counted, one that is gone too", async () => {
  await using origin = serveRaw((_, reply) => reply.write(HELLO));
  const gone = `127.0.0.1:${freePort()}`;
  const to = [`http://${gone}`, origin.url];
  const table = tableOf({ proxy: { to, balance: "round-robin", pool: { maxIdle: 0 } } });
  await withGateway(table, async (gateway) => {
    for (let i = 0; i < 8; i++) assert.equal(await ask(gateway), "hello");
    const families = await scrape(gateway);
    assert.deepEqual(fareOf(families, `127.0.0.1:${origin.port}`), [8, 0, 1]);
    const [requests, failures, up] = fareOf(families, gone);
    assert.deepEqual([requests, up], [0, 0]);
    assert.ok(failures !== undefined && failures >= 3, String(failures));
  });
});

Deno.test("a request that is sent again is counted", async () => {
  await using origin = serveRaw(async ({ turn }, reply) => {
    if (turn > 1) return reply.close();
    await reply.write(HELLO);
  });
  await withGateway(tableOf({ proxy: origin.url }), async (gateway) => {
    assert.equal(await ask(gateway), "hello");
    assert.equal(await ask(gateway), "hello");
    const families = await scrape(gateway);
    assert.equal(valueOf(families, "portico_request_resends_total", { http_route: "/*" }), 1);
  });
});

Deno.test("each of several SCGI servers is counted", async () => {
  await using responder = await serveClosing(
    "scgi",
    (call) => call.write("Status: 200 OK\r\n\r\nhello"),
  );
  const gone = `127.0.0.1:${freePort()}`;
  await withGateway(tableOf({ scgi: { connect: [gone, responder.address] } }), async (gateway) => {
    for (let i = 0; i < 4; i++) assert.equal(await ask(gateway), "hello");
    const families = await scrape(gateway);
    assert.deepEqual(fareOf(families, responder.address), [4, 0, 1]);
    assert.deepEqual(fareOf(families, gone), [0, 3, 0]);
  });
});

Deno.test("connections that are opened in advance are no requests", async () => {
  await using temp = await tempFolder();
  await using _probe = serveFastcgiProbe(`${temp.path}/s`);
  const connect = `unix:${temp.path}/s`;
  await withGateway(tableOf({ fastcgi: { connect, pool: { minIdle: 2 } } }), async (gateway) => {
    const headers = { "X-Play": formatPlay([OK, say("hello")]) };
    for (let i = 0; i < 3; i++) assert.equal(await ask(gateway, headers), "hello");
    assert.deepEqual(fareOf(await scrape(gateway), connect), [3, 0, 1]);
  });
});
