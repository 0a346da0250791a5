/**
 * A control character in a field of a response ends the whole process: the runtime asserts that there is
 * none. So none may reach it, whichever way it came: each of them, by each kind, to a gateway in a process
 * of its own that has to be there afterwards.
 */
import assert from "node:assert/strict";
import { ask } from "../support/client.ts";
import { type Faulty, withFaulty } from "../support/faulty.ts";
import { testWith } from "../support/needs.ts";
import { writeScript } from "../support/peers.ts";
import { end, out, OUT_END, serveRaw as serveFastcgi } from "../upstreams/raw_fastcgi.ts";
import { serveClosing } from "../upstreams/closing_responder.ts";
import { serveRaw as serveOrigin } from "../upstreams/raw_origin.ts";

/** All that the runtime would die of, and NUL, which it refuses by itself. TAB, CR and LF have a meaning. */
const CONTROLS = Array.from({ length: 32 }, (_, code) => code)
  .filter((code) => code !== 9 && code !== 10 && code !== 13).concat(127);

/** The number of the character in the request's query. */
function codeIn(text: string): number {
  return Number(/c=(\d+)/.exec(text)?.[1]);
}

function cgiHead(code: number): string {
  return `Content-Type: text/plain\r\nX-Bad: a${String.fromCharCode(code)}b\r\n\r\nbody`;
}

/** Asks with each character; every answer is of this status, and the gateway serves on. */
async function assertWithstands({ port, gateway }: Faulty, path: string, status: number) {
  for (const code of CONTROLS) {
    const answer = await ask(port, { target: `${path}?c=${code}` });
    assert.equal(answer.status, status, `character ${code}: ${gateway.err()}`);
    assert.equal(answer.get("x-bad"), undefined);
  }
  assert.equal((await ask(port, { target: "/well" })).status, 200);
}

const WELL = { path: "/well", respond: "ok" };

Deno.test("no control character in a field gets through: cgi", async () => {
  const prepare = async (folder: string) => {
    const octal = 'printf "\\\\$(printf %03o "${QUERY_STRING#c=}")"';
    const head = "printf 'Content-Type: text/plain\\nX-Bad: a'";
    await writeScript(`${folder}/t`, `#!/bin/sh\n${head}\n${octal}\nprintf 'b\\n\\nbody'\n`);
  };
  await withFaulty(
    [WELL, { path: "/bad", cgi: "FOLDER/t" }],
    { prepare },
    (faulty) => assertWithstands(faulty, "/bad", 502),
  );
});

Deno.test("no control character in a field gets through: fastcgi", async () => {
  const upstreams = new AsyncDisposableStack();
  const prepare = (folder: string) => {
    upstreams.use(serveFastcgi(`${folder}/s`, async (wire, { params }) => {
      await wire.write(out(cgiHead(codeIn(params.get("QUERY_STRING") ?? ""))), OUT_END, end());
      wire.close();
    }));
    return Promise.resolve();
  };
  await using _ = upstreams;
  await withFaulty(
    [WELL, { path: "/bad", fastcgi: "unix:FOLDER/s" }],
    { prepare },
    (faulty) => assertWithstands(faulty, "/bad", 502),
  );
});

for (const protocol of ["uwsgi", "scgi"] as const) {
  Deno.test(`no control character in a field gets through: ${protocol}`, async () => {
    await using responder = await serveClosing(protocol, async ({ variables, write }) => {
      await write(cgiHead(codeIn(variables.get("QUERY_STRING") ?? "")));
    });
    await withFaulty(
      [WELL, { path: "/bad", [protocol]: responder.address }],
      {},
      (faulty) => assertWithstands(faulty, "/bad", 502),
    );
  });
}

Deno.test("no control character in a field gets through: proxy, with a cache and without", async () => {
  await using origin = serveOrigin(async ({ line }, reply) => {
    const head = `Content-Length: 4\r\n${cgiHead(codeIn(line))}`;
    await reply.write(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n${head}`);
    reply.close();
  });
  const routes = [
    WELL,
    { path: "/bad", proxy: origin.url },
    { path: "/cached", proxy: origin.url, cache: true, conditional: true, compress: true },
  ];
  await withFaulty(routes, {}, async (faulty) => {
    await assertWithstands(faulty, "/bad", 502);
    await assertWithstands(faulty, "/cached", 502);
  });
});

/** Applications of both forms that send what they are asked for. */
const APPLICATION = `const codeOf = (text) => Number(/c=(\\d+)/.exec(text)?.[1]);
const value = (code) => \`a\${String.fromCharCode(code)}b\`;
export const wsgi = (environ, startResponse) => {
  startResponse("200 OK", [["Content-Type", "text/plain"], ["X-Bad", value(codeOf(environ.QUERY_STRING))]]);
  return [new TextEncoder().encode("body")];
};
export const site = {
  fetch: (request) => new Response("body", { headers: { "x-bad": value(codeOf(request.url)) } }),
};
export const reason = (environ, startResponse) => {
  startResponse(\`200 \${value(codeOf(environ.QUERY_STRING))}\`, [["Content-Type", "text/plain"]]);
  return [new TextEncoder().encode("body")];
};
`;

Deno.test("no control character in a field gets through: wsgi, in both of its forms and in a worker", async () => {
  const prepare = (folder: string) => Deno.writeTextFile(`${folder}/app.ts`, APPLICATION);
  const forms = ["wsgi", "site", "reason"];
  const routes = forms.flatMap((name) => [
    { path: `/${name}`, wsgi: `FOLDER/app.ts:${name}` },
    { path: `/isolated-${name}`, wsgi: { app: `FOLDER/app.ts:${name}`, isolate: "worker" } },
  ]);
  await withFaulty([WELL, ...routes], { prepare }, async (faulty) => {
    for (const { path } of routes) await assertWithstands(faulty, path, 500);
  });
});

testWith(["python3"], "no control character in a field gets through: wsgi in Python", async () => {
  const prepare = (folder: string) =>
    Deno.writeTextFile(
      `${folder}/app.py`,
      `def application(environ, start_response):
    bad = "a" + chr(int(environ["QUERY_STRING"][2:])) + "b"
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Bad", bad)])
    return [b"body"]
`,
    );
  await withFaulty(
    [WELL, { path: "/bad", wsgi: { app: "FOLDER/app.py", python: "/usr/bin/python3" } }],
    { prepare },
    (faulty) => assertWithstands(faulty, "/bad", 500),
  );
});

Deno.test("no control character gets through where a request's own words are sent back", async () => {
  const prepare = async (folder: string) => {
    for (const code of CONTROLS.filter((code) => code > 0)) {
      await Deno.mkdir(`${folder}/f/a${String.fromCharCode(code)}b`, { recursive: true });
    }
  };
  const routes = [
    WELL,
    { path: "/old/:name/*", redirect: "/new/:name/" },
    { path: "/f/*", static: { root: "FOLDER/f", listing: true } },
    { path: "/php/*", php: { root: "FOLDER/f", connect: "127.0.0.1:9" } },
  ];
  await withFaulty(routes, { prepare }, async ({ port, gateway }) => {
    for (const code of CONTROLS) {
      const word = `a%${code.toString(16).padStart(2, "0")}b`;
      for (const target of [`/old/${word}/x`, `/f/${word}`, `/php/${word}`, `/none/${word}`]) {
        const { status, text } = await ask(port, { target });
        assert.ok(status >= 300 && status < 600, `${target}: ${status}`);
        // deno-lint-ignore no-control-regex
        assert.doesNotMatch(text, /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/, target);
      }
    }
    assert.equal((await ask(port, { target: "/well" })).status, 200, gateway.err());
  });
});
