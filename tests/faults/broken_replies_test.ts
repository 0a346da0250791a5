/**
 * Upstreams that close, or break off, behind every byte of a reply. Before the head is whole that is a 502
 * which names route and cause; after it the answer is cut short, and never looks whole. Nothing is left
 * behind, and the next reply is fine.
 */
import assert from "node:assert/strict";
import { ask } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { tempFolder, writeScript } from "../support/peers.ts";
import { serveClosing } from "../upstreams/closing_responder.ts";
import { end, joined, out, OUT_END, serveRaw as serveFastcgi } from "../upstreams/raw_fastcgi.ts";
import { serveRaw as serveOrigin } from "../upstreams/raw_origin.ts";
import { linesOf } from "../handlers/contract.ts";

const HEAD = "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n";
const BARE_HEAD = "Content-Type: text/plain\r\n\r\n";

/** How many bytes the upstream is to send; Infinity: all. */
function cutIn(text: string): number {
  const cut = /cut=(\d+)/.exec(text)?.[1];
  return cut === undefined ? Infinity : Number(cut);
}

interface Expected {
  readonly kind: string;
  /** Bytes after which the head is whole, and all of the reply. */
  readonly headEnds: number;
  readonly length: number;
  /** Bytes from which on the reply is whole, if that is before its last. */
  readonly wholeFrom?: number;
}

async function assertCuts(gateway: TestGateway, expected: Expected): Promise<void> {
  const { kind, headEnds, length, wholeFrom = length } = expected;
  for (let cut = 0; cut < length; cut++) {
    const answer = await ask(gateway.port, { target: `/cut?cut=${cut}` });
    const what = `${kind}, ${cut} of ${length} bytes: ${answer.text}`;
    // What breaks off in its first breath is a 502 still: the head was not sent yet.
    const isFailure = answer.status === 502;
    if (cut < headEnds || cut >= wholeFrom) assert.equal(isFailure, cut < headEnds, what);
    assert.equal(answer.whole, isFailure || cut >= wholeFrom, what);
    if (answer.status === 200) assert.ok("hello".startsWith(answer.text), what);
  }
  await eventually(
    async () => {
      const failures = (await linesOf(gateway.log())).filter(({ failure }) => failure);
      return failures.length === wholeFrom;
    },
    5000,
    await gateway.log(),
  );
  for (const line of await linesOf(gateway.log())) {
    if (line.failure === undefined) continue;
    assert.deepEqual([line.route, line.kind], ["/cut", kind]);
    assert.match(line.failure, CAUSES, line.message);
  }
  assert.equal((await ask(gateway.port, { target: "/cut" })).text, "hello");
}

const CAUSES = /^(no-output|no-head|head-cut|body-short|reply-cut|script-died|bad-chunk)$/;

function tableOf(route: Record<string, unknown>): string {
  const routes = JSON.stringify([{ path: "/cut", ...route }]);
  return `server:\n  accessLog: json\nroutes: ${routes}\n`;
}

for (const [how, last] of [["exits", "exit 0"], ["is killed", "kill -9 $$"]] as const) {
  Deno.test(`a program that ${how} behind every byte of its reply: cgi`, async () => {
    await using folder = await tempFolder();
    await Deno.writeTextFile(`${folder.path}/reply`, `${HEAD}hello`);
    const script = await writeScript(
      `${folder.path}/t`,
      `#!/bin/sh
[ -z "$QUERY_STRING" ] && exec cat ${folder.path}/reply
head -c "\${QUERY_STRING#cut=}" ${folder.path}/reply
${last}
`,
    );
    await withGateway(tableOf({ cgi: script }), async (gateway) => {
      const length = HEAD.length + 5;
      await assertCuts(gateway, { kind: "cgi", headEnds: HEAD.length, length });
    });
  });
}

for (const head of [HEAD, BARE_HEAD]) {
  const how = head === HEAD ? "with a length" : "without a length";
  Deno.test(`a responder that closes behind every byte of its reply: fastcgi, ${how}`, async () => {
    await using folder = await tempFolder();
    const reply = joined(out(head), out("hello"), OUT_END, end());
    await using responder = serveFastcgi(`${folder.path}/s`, async (wire, { params }) => {
      await wire.write(reply.subarray(0, cutIn(params.get("QUERY_STRING") ?? "")));
      wire.close();
    });
    await withGateway(tableOf({ fastcgi: `unix:${folder.path}/s` }), async (gateway) => {
      const headEnds = 8 + head.length;
      // All that was promised has come, or the stream's own end: what END_REQUEST adds is not missed.
      const wholeFrom = headEnds + 8 + 5 + (head === HEAD ? 0 : OUT_END.length);
      await assertCuts(gateway, { kind: "fastcgi", headEnds, length: reply.length, wholeFrom });
      await eventually(() => responder.open === 0);
    });
  });
}

for (const protocol of ["uwsgi", "scgi"] as const) {
  for (const breaksOff of [false, true]) {
    const how = breaksOff ? "resets" : "closes";
    Deno.test(`a server that ${how} behind every byte of its reply: ${protocol}`, async () => {
      await using responder = await serveClosing(protocol, async ({ variables, write, reset }) => {
        const cut = cutIn(variables.get("QUERY_STRING") ?? "");
        await write(`${HEAD}hello`.slice(0, cut));
        if (breaksOff && cut < Infinity) reset();
      });
      await withGateway(tableOf({ [protocol]: responder.address }), async (gateway) => {
        const length = HEAD.length + 5;
        await assertCuts(gateway, { kind: protocol, headEnds: HEAD.length, length });
        await eventually(() => responder.running === 0);
      });
    });
  }
}

const RESPONSES: Readonly<Record<string, string>> = {
  "with a length": `HTTP/1.1 200 OK\r\n${HEAD}hello`,
  "in chunks":
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nX: y\r\n\r\n",
};

for (const [how, response] of Object.entries(RESPONSES)) {
  Deno.test(`an origin that closes behind every byte of its response: proxy, ${how}`, async () => {
    await using origin = serveOrigin(async ({ line }, reply) => {
      await reply.write(response.slice(0, cutIn(line)));
      reply.close();
    });
    await withGateway(tableOf({ proxy: origin.url }), async (gateway) => {
      const headEnds = response.indexOf("\r\n\r\n") + 4;
      await assertCuts(gateway, { kind: "proxy", headEnds, length: response.length });
    });
  });
}
