/** The route-wide option `conditional`: a shell script and a WSGI application that know nothing of it. */
import assert from "node:assert/strict";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";

const DIGITS = "0123456789".repeat(10);

/** Answers with the fields of X-Say, one after each `|`, and with a hundred digits in two pieces. */
const SCRIPT = `#!/bin/sh
printf '%s\\n\\n' "$HTTP_X_SAY" | tr '|' '\\n'
[ "$REQUEST_METHOD" = HEAD ] && exit
printf '%s' '${DIGITS.slice(0, 45)}'; sleep 0.05; printf '%s' '${DIGITS.slice(45)}'
`;

const LENGTH = "Content-Length: 100";
const DATE = "Sun, 06 Nov 1994 08:49:37 GMT";

interface Asking {
  readonly say?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

async function ask({ base }: TestGateway, { say = [], headers = {}, method = "GET" }: Asking) {
  const spoken = ["Content-Type: text/plain", ...say].join("|");
  const response = await fetch(`${base}/`, { method, headers: { ...headers, "x-say": spoken } });
  const body = await response.text();
  return { status: response.status, headers: response.headers, body };
}

async function withSite(options: string, body: (gateway: TestGateway) => Promise<void>) {
  await using folder = await tempFolder();
  const script = await writeScript(`${folder.path}/say.sh`, SCRIPT);
  await withGateway(`routes: [{path: /, cgi: ${script}${options}}]`, body);
}

testWith(
  ["sh"],
  "conditional answers with 304 and 412 by the program's own validators",
  async () => {
    await withSite(", conditional: true", async (gateway) => {
      const tag = 'ETag: "v1"';
      const modified = `Last-Modified: ${DATE}`;
      const rows: [
        status: number,
        say: string[],
        headers: Record<string, string>,
        method?: string,
      ][] = [
        [304, [tag], { "if-none-match": '"v0", W/"v1"' }],
        [304, [tag], { "if-none-match": "*" }, "HEAD"],
        [200, [tag], { "if-none-match": '"v2"' }],
        [304, [modified], { "if-modified-since": DATE }],
        [200, [modified], { "if-modified-since": "Sat, 05 Nov 1994 08:49:37 GMT" }],
        [200, [tag, modified], { "if-none-match": '"v2"', "if-modified-since": DATE }],
        [412, [tag], { "if-match": '"v2"' }],
        [412, [modified], { "if-unmodified-since": "Sat, 05 Nov 1994 08:49:37 GMT" }],
        [200, [tag], { "if-match": '"v1"' }],
        [200, [], { "if-modified-since": DATE }],
        // What the program answers otherwise, or to another method, is its own business.
        [404, ["Status: 404", tag], { "if-none-match": '"v1"' }],
        [200, [tag], { "if-none-match": '"v1"' }, "POST"],
      ];
      for (const [status, say, headers, method = "GET"] of rows) {
        const answer = await ask(gateway, { say: [...say, LENGTH], headers, method });
        assert.equal(answer.status, status, JSON.stringify([say, headers, method]));
        if (status === 304) {
          assert.equal(answer.body, "");
          assert.equal(answer.headers.get("content-type"), null);
          const kept = answer.headers.get("etag") ?? answer.headers.get("last-modified");
          assert.ok(kept === '"v1"' || kept === DATE);
        }
      }
    });
  },
);

testWith(["sh"], "conditional cuts parts from a reply whose length is known", async () => {
  await withSite(", conditional: true", async (gateway) => {
    const say = [LENGTH, 'ETag: "v1"'];
    const whole = await ask(gateway, { say });
    assert.equal(whole.headers.get("accept-ranges"), "bytes");
    const rows: [range: string, from: number, to: number][] = [
      ["bytes=0-0", 0, 1],
      ["bytes=10-49", 10, 50],
      ["bytes=90-", 90, 100],
      ["bytes=-5", 95, 100],
      ["bytes=50-999", 50, 100],
    ];
    for (const [range, from, to] of rows) {
      const part = await ask(gateway, { say, headers: { range } });
      assert.equal(part.status, 206, range);
      assert.equal(part.body, DIGITS.slice(from, to), range);
      assert.equal(part.headers.get("content-range"), `bytes ${from}-${to - 1}/100`);
      assert.equal(part.headers.get("content-length"), String(to - from));
    }
    const beyond = await ask(gateway, { say, headers: { range: "bytes=100-" } });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.headers.get("content-range"), "bytes */100");
    const several = await ask(gateway, { say, headers: { range: "bytes=0-1,40-49" } });
    assert.match(several.headers.get("content-type") ?? "", /^multipart\/byteranges; boundary=/);
    assert.match(
      several.body,
      /bytes 0-1\/100\r\n\r\n01\r\n[^]*bytes 40-49\/100\r\n\r\n0123456789\r\n/,
    );
    assert.equal(several.headers.get("content-length"), String(several.body.length));
  });
});

testWith(["sh"], "conditional sends the whole where a part would be wrong", async () => {
  await withSite(", conditional: true", async (gateway) => {
    const range = { range: "bytes=0-1" };
    const rows: [say: string[], headers: Record<string, string>][] = [
      [[], range],
      [[LENGTH, 'ETag: "v1"'], { ...range, "if-range": '"v0"' }],
      [[LENGTH, 'ETag: W/"v1"'], { ...range, "if-range": 'W/"v1"' }],
      [[LENGTH, "Accept-Ranges: none"], range],
      // What has flowed past does not come back.
      [[LENGTH], { range: "bytes=50-59,0-9" }],
      [[LENGTH], { range: "lines=1-2" }],
    ];
    for (const [say, headers] of rows) {
      const answer = await ask(gateway, { say, headers });
      assert.deepEqual([answer.status, answer.body], [200, DIGITS], JSON.stringify([say, headers]));
    }
    const right = { ...range, "if-range": '"v1"' };
    assert.equal((await ask(gateway, { say: [LENGTH, 'ETag: "v1"'], headers: right })).status, 206);
  });
});

testWith(["sh"], "conditional does nothing unless the route asks for it", async () => {
  for (const options of ["", ", conditional: false"]) {
    await withSite(options, async (gateway) => {
      const headers = { "if-none-match": '"v1"', range: "bytes=0-1" };
      const answer = await ask(gateway, { say: [LENGTH, 'ETag: "v1"'], headers });
      assert.deepEqual([answer.status, answer.body], [200, DIGITS]);
    });
  }
});

testWith(["sh"], "etag: auto tags short replies by their bytes", async () => {
  await withSite(", conditional: {etag: auto}", async (gateway) => {
    const first = await ask(gateway, { say: [LENGTH] });
    const tag = first.headers.get("etag") ?? "";
    assert.match(tag, /^"[\w-]{20}"$/);
    assert.equal(first.body, DIGITS);
    const again = await ask(gateway, { say: [LENGTH], headers: { "if-none-match": tag } });
    assert.equal(again.status, 304);
    assert.equal(again.headers.get("etag"), tag);
    assert.equal(
      (await ask(gateway, { say: [LENGTH, 'ETag: "own"'] })).headers.get("etag"),
      '"own"',
    );
    for (const say of [[], [LENGTH, "Cache-Control: no-store"]]) {
      assert.equal((await ask(gateway, { say })).headers.get("etag"), null, say.join());
    }
  });
});

Deno.test("conditional cuts parts from a reply that is all there", async () => {
  const table = `routes: [{path: /, respond: {body: "${DIGITS}"}, conditional: {etag: auto}}]`;
  await withGateway(table, async (gateway) => {
    const part = await ask(gateway, { headers: { range: "bytes=50-59,0-9" } });
    assert.equal(part.status, 206);
    assert.match(part.body, /bytes 50-59\/100[^]*bytes 0-9\/100/);
    assert.ok(part.headers.has("etag"));
  });
});
