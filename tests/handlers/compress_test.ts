/** The route-wide option `compress`: shell scripts behind it, curl and fetch before it. */
import assert from "node:assert/strict";
import { createBrotliDecompress, createGunzip, createZstdDecompress } from "node:zlib";
import { Client } from "../support/client.ts";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";

const TEXT = Array.from({ length: 4000 }, (_, at) => `line ${at * 7919 % 1000}\n`).join("");

/** Answers with the fields of X-Say, one after each `|`, and with a text. */
const SCRIPT = `#!/bin/sh
printf '%s\\n\\n' "$HTTP_X_SAY" | tr '|' '\\n'
cat "$(dirname "$0")/\${QUERY_STRING:-text}"
`;
/** An event every 300 ms. */
const TICKS = `#!/bin/sh
printf 'Content-Type: text/event-stream\\n\\n'
for tick in 1 2 3; do printf 'data: %s\\n\\n' $tick; sleep 0.3; done
`;

async function withSite(
  compress: string,
  body: (gateway: TestGateway, path: string) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  const { path } = folder;
  await writeScript(`${path}/say.sh`, SCRIPT);
  await writeScript(`${path}/ticks.sh`, TICKS);
  await Deno.writeTextFile(`${path}/text`, TEXT);
  await Deno.writeTextFile(`${path}/short`, "short\n");
  const table = `
routes:
  - {path: /say, cgi: ${path}/say.sh, compress: ${compress}}
  - {path: /ticks, cgi: ${path}/ticks.sh, compress: ${compress}}
  - {path: /fixed, respond: {body: "${"fixed ".repeat(400)}"}, compress: ${compress}}
`;
  await withGateway(table, (gateway) => body(gateway, path));
}

interface Asking {
  readonly target?: string;
  readonly accept?: string;
  readonly say?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

async function ask({ port }: TestGateway, asking: Asking) {
  const { target = "/say", accept = "gzip", say = [], headers = {}, method = "GET" } = asking;
  const spoken = ["Content-Type: text/plain", ...say];
  // Of a field that is said twice only the last counts here.
  const fields = new Map(spoken.map((line) => [line.split(":", 1)[0], line]));
  using client = await Client.send(port, {
    method,
    target,
    headers: { "X-Say": [...fields.values()].join("|"), "Accept-Encoding": accept, ...headers },
  });
  const head = await client.head();
  return { head, body: method === "HEAD" ? undefined : await client.body() };
}

testWith(["sh", "curl"], "compress sends what curl asks for, in any coding it knows", async () => {
  await withSite("true", async ({ base }) => {
    for (const target of ["/say", "/fixed"]) {
      const { stdout } = await new Deno.Command("curl", {
        args: ["-s", "-D-", "--compressed", "-H", "X-Say: Content-Type: text/plain", base + target],
      }).output();
      const text = new TextDecoder().decode(stdout);
      assert.match(text, /content-encoding: (zstd|br|gzip)/i);
      assert.ok(text.endsWith(target === "/say" ? TEXT : "fixed ".repeat(400)));
    }
  });
});

testWith(
  ["sh"],
  "compress takes the coding that the client prefers, then the route's order",
  async () => {
    await withSite("[br, gzip]", async (gateway) => {
      const rows: [accept: string, coding: string | undefined][] = [
        ["gzip", "gzip"],
        ["gzip, br", "br"],
        ["gzip;q=1, br;q=0.5", "gzip"],
        ["zstd", undefined],
        ["*", "br"],
        ["identity", undefined],
        ["gzip;q=0", undefined],
      ];
      for (const [accept, coding] of rows) {
        const { head, body } = await ask(gateway, { accept });
        assert.equal(head.get("content-encoding"), coding, accept);
        assert.equal(head.get("vary"), "Accept-Encoding");
        if (coding === undefined) assert.equal(body?.text, TEXT);
        else assert.ok((body?.bytes.length ?? 0) < TEXT.length / 2);
      }
    });
  },
);

testWith(
  ["sh"],
  "compress leaves alone what must not be compressed, or would gain nothing",
  async () => {
    await withSite("true", async (gateway) => {
      const rows: [say: string[], target?: string][] = [
        [["Content-Type: image/png"]],
        [["Content-Type: video/mp4"]],
        [["Content-Type: application/zip"]],
        [["Content-Encoding: br"]],
        [["Cache-Control: public, no-transform"]],
        [["Status: 206", "Content-Range: bytes 0-9/10"]],
        [["Content-Length: 6"], "/say?short"],
      ];
      for (const [say, target = "/say"] of rows) {
        const { head, body } = await ask(gateway, { say, target });
        assert.notEqual(head.get("content-encoding"), "gzip", say.join());
        assert.equal(head.get("vary"), undefined, say.join());
        assert.ok(body?.whole);
      }
      // Whoever asks for a part gets one of what is there.
      const { head } = await ask(gateway, { headers: { Range: "bytes=0-9" } });
      assert.equal(head.get("content-encoding"), undefined);
      assert.equal(head.get("vary"), "Accept-Encoding");
    });
  },
);

testWith(
  ["sh"],
  "compress weakens the tag, merges Vary and tells no length of other bytes",
  async () => {
    await withSite("true", async (gateway) => {
      const say = [
        'ETag: "v1"',
        "Vary: Cookie",
        `Content-Length: ${TEXT.length}`,
        "Accept-Ranges: bytes",
        "Repr-Digest: sha-256=:AAAA:",
      ];
      const { head, body } = await ask(gateway, { say });
      assert.equal(head.get("etag"), 'W/"v1"');
      assert.equal(head.get("vary"), "Cookie, Accept-Encoding");
      for (const name of ["content-length", "accept-ranges", "repr-digest"]) {
        assert.equal(head.get(name), undefined, name);
      }
      assert.ok(body?.whole);
      const { head: bare } = await ask(gateway, { say, method: "HEAD" });
      for (const name of ["content-encoding", "etag", "vary", "content-length"]) {
        assert.equal(bare.get(name), head.get(name), name);
      }
      const fixed = await ask(gateway, { target: "/fixed" });
      assert.equal(fixed.head.get("content-length"), String(fixed.body?.bytes.length));
    });
  },
);

const DECODERS = { gzip: createGunzip, br: createBrotliDecompress, zstd: createZstdDecompress };

testWith(["sh"], "compress lets each event through before the next is made", async () => {
  await withSite("true", async ({ base }) => {
    for (const [coding, createDecoder] of Object.entries(DECODERS)) {
      // A client that undoes the coding by itself may hold pieces back.
      const pieces = rawGet(base, coding);
      const decoder = createDecoder();
      const seen: [text: string, ms: number][] = [];
      const started = performance.now();
      const done = new Promise<void>((resolve) => decoder.on("end", () => resolve()));
      decoder.on("data", (piece: Uint8Array) => {
        seen.push([new TextDecoder().decode(piece), performance.now() - started]);
      });
      for await (const piece of pieces) decoder.write(piece);
      decoder.end();
      await done;
      assert.deepEqual(
        seen.map(([text]) => text),
        [1, 2, 3].map((tick) => `data: ${tick}\n\n`),
        coding,
      );
      const [first, second, third] = seen.map(([, ms]) => ms);
      assert.ok((second ?? 0) - (first ?? 0) > 150 && (third ?? 0) - (second ?? 0) > 150, coding);
    }
  });
});

/** The body's bytes as they come, without their chunks' framing. */
async function* rawGet(base: string, coding: string): AsyncGenerator<Uint8Array> {
  using client = await Client.send(Number(new URL(base).port), {
    target: "/ticks",
    headers: { "Accept-Encoding": coding },
  });
  assert.equal((await client.head()).get("content-encoding"), coding);
  let rest = "";
  for (let piece = await client.some(); piece !== undefined; piece = await client.some()) {
    rest += piece;
    for (;;) {
      const match = /^([0-9a-f]+)\r\n/.exec(rest);
      if (match === null) break;
      const size = parseInt(match[1] ?? "", 16);
      if (size === 0) return;
      const end = match[0].length + size;
      if (rest.length < end + 2) break;
      yield Uint8Array.from(rest.slice(match[0].length, end), (char) => char.charCodeAt(0));
      rest = rest.slice(end + 2);
    }
  }
}
