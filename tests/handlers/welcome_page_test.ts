/** The welcome page and the small applications beside it, without a server around them. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Application, Environ, RouteView } from "../../lib/protocol/wsgi.ts";
import welcome from "../../lib/welcome/app.ts";
import { escapeHtml, html, Markup } from "../../lib/welcome/html.ts";
import { linkOf } from "../../lib/welcome/route_links.ts";
import ticks from "../../lib/welcome/ticks.ts";

const SCRIPT = new URL("../../lib/welcome/hello.sh", import.meta.url).pathname;
const TEXT = new TextDecoder();

interface Answer {
  readonly status: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly result: Awaited<ReturnType<Application>>;
}

/** Calls an application; `environ` needs to have only what it reads. */
async function call(application: Application, environ: Record<string, unknown>): Promise<Answer> {
  let status = "";
  let headers: ReadonlyMap<string, string> = new Map();
  const start = (line: string, fields: readonly (readonly [string, string])[]) => {
    status = line;
    headers = new Map(fields);
    return () => Promise.resolve();
  };
  const whole: Environ = Object.assign(Object.create(null), environ);
  const result = await application(whole, start);
  return { status, headers, result };
}

async function textOf(answer: Answer): Promise<string> {
  let text = "";
  for await (const piece of answer.result) text += TEXT.decode(piece);
  return text;
}

function route(view: Partial<RouteView>): RouteView {
  return {
    name: "",
    path: "/",
    host: undefined,
    methods: undefined,
    kind: "",
    target: "",
    ...view,
  };
}

const PLAIN = { SCRIPT_NAME: "/", PATH_INFO: "", QUERY_STRING: "" };
const TICKS = route({ path: "/ticks", kind: "wsgi", target: "./lib/welcome/ticks.ts" });

Deno.test("html escapes every value but its own markup", () => {
  const inner = html`<b>${"<&>\"'"}</b>`;
  assert.equal(
    html`<i title="${'"><script>'}">${inner}${[1, undefined, "<"]}</i>`.toString(),
    `<i title="&quot;&gt;&lt;script&gt;"><b>&lt;&amp;&gt;&quot;&#39;</b>1&lt;</i>`,
  );
  assert.equal(html`${Markup.constant("<hr>")}`.toString(), "<hr>");
});

Deno.test("escapeHtml() leaves no markup and no control character of any text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const escaped = escapeHtml(text);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(escaped, /[<>"'\x00-\x08\x0b-\x1f\x7f]|&(?!(amp|lt|gt|quot|#39);)/);
  }));
});

Deno.test("the welcome page cannot be injected into by the client", async () => {
  const attack = `"'></dd><script>alert(1)</script>&amp;`;
  const answer = await call(welcome, {
    ...PLAIN,
    SCRIPT_NAME: attack,
    QUERY_STRING: attack,
    HTTP_USER_AGENT: attack,
    [`HTTP_${attack}`]: "name",
    "portico.routes": [route({ path: `/${attack}`, kind: attack, target: attack })],
  });
  const page = await textOf(answer);
  assert(!page.includes("<script>alert"));
  const escaped = "&quot;&#39;&gt;&lt;/dd&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;";
  assert.equal(page.split(escaped).length - 1, 8);
});

Deno.test("the welcome page shows bytes as the text that they are", async () => {
  const answer = await call(welcome, {
    ...PLAIN,
    HTTP_X_NAME: "J\u00c3\u00bcrgen",
    HTTP_X_CONTROL: "a\u0001b",
    "wsgi.version": [1, 0],
    "wsgi.input": new Map(),
    "wsgi.file_wrapper": () => {},
    "portico.routes": [],
  });
  const page = await textOf(answer);
  for (const text of ["Jürgen", "a\u2401b", "[1,0]", "Map object", "a function", "(empty)"]) {
    assert(page.includes(text), text);
  }
});

Deno.test("the welcome page's policy allows its own style and script, and nothing else inline", async () => {
  const answer = await call(welcome, { ...PLAIN, "portico.routes": [TICKS] });
  const page = await textOf(answer);
  const policy = answer.headers.get("Content-Security-Policy") ?? "";
  assert.match(policy, /^default-src 'none';/);
  for (const element of ["style", "script"]) {
    const source = new RegExp(`<${element}[^>]*>([^]*?)</${element}>`).exec(page)?.[1] ?? "";
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(source));
    const hash = new Uint8Array(digest).toBase64();
    assert(policy.includes(`${element}-src 'sha256-${hash}'`), element);
  }
  assert.doesNotMatch(page, /\sstyle=|\son\w+=|javascript:|https?:\/\/(?!www\.w3\.org)/);
});

Deno.test("the welcome page does without the ticker where the table has none", async () => {
  const page = await textOf(await call(welcome, { ...PLAIN, "portico.routes": [] }));
  assert.doesNotMatch(page, /<script|<iframe|data-stream="/);
});

for (
  const [view, link] of [
    [{ path: "/" }, "/"],
    [{ path: "/ping" }, "/ping"],
    [{ path: "/shell/*" }, "/shell/hello"],
    [{ path: "/*" }, "/hello"],
    [{ path: "/users/:id/posts" }, "/users/hello/posts"],
    [{ path: "/caf\u00e9" }, "/caf%C3%A9"],
    [{ path: "/100%" }, "/100%25"],
    [{ path: "/:id(\\d+)" }, undefined],
    [{ path: "/:id?" }, undefined],
    [{ path: "/*.php" }, undefined],
    [{ path: "/a{/b}?" }, undefined],
    [{ path: "/", host: "example.org" }, undefined],
    [{ path: "/", methods: ["POST"] }, undefined],
    [{ path: "/", methods: ["GET", "HEAD"] }, "/"],
  ] as const
) {
  Deno.test(`linkOf() takes ${JSON.stringify(view)} to ${link}`, () => {
    assert.equal(linkOf(route(view)), link);
  });
}

for (
  const [query, type, first, second] of [
    [
      "",
      "text/event-stream",
      /^retry: 1000\n\ndata: \{"count":1,"time":"\S+Z"\}\n\n$/,
      /"count":2,/,
    ],
    ["plain", "text/plain; charset=utf-8", /^1 \S+Z\n$/, /^2 \S+Z\n$/],
    ["frame", "text/html; charset=utf-8", /<span class="count">1</, /^<p .*<span class="count">2</],
  ] as const
) {
  Deno.test(`ticks with "?${query}" ticks at once, then after a second, as ${type}`, async () => {
    const { headers, result } = await call(ticks, { ...PLAIN, QUERY_STRING: query });
    assert.equal(headers.get("Content-Type"), type);
    const iterator = iteratorOf(result);
    const start = performance.now();
    assert.match(TEXT.decode((await iterator.next()).value), first);
    assert(performance.now() - start < 500, "the first tick comes at once");
    assert.match(TEXT.decode((await iterator.next()).value), second);
    const waited = performance.now() - start;
    assert(waited > 900 && waited < 2500, `the second tick came after ${waited} ms`);
    await iterator.return?.();
    await result.close?.();
  });
}

Deno.test("ticks stops at once when closed between two ticks", async () => {
  const { result } = await call(ticks, PLAIN);
  const iterator = iteratorOf(result);
  await iterator.next();
  const start = performance.now();
  const next = iterator.next();
  await result.close?.();
  assert.deepEqual(await next, { done: true, value: undefined });
  assert(performance.now() - start < 500);
});

function iteratorOf(result: Answer["result"]): AsyncIterator<Uint8Array> {
  assert(Symbol.asyncIterator in result);
  return result[Symbol.asyncIterator]();
}

/** Runs the script as the gateway would. */
async function runScript(env: Record<string, string>, body = ""): Promise<string> {
  const child = new Deno.Command(SCRIPT, {
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(body));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  assert.deepEqual([code, TEXT.decode(stderr)], [0, ""]);
  return TEXT.decode(stdout);
}

Deno.test("hello.sh answers in plain text, whatever the client sent", async () => {
  const attack = "$(id) `id` \\n %s <b>\r\nSet-Cookie: a=b";
  const output = await runScript({
    REQUEST_METHOD: "GET",
    HTTP_USER_AGENT: attack,
    PATH_INFO: "/x",
  });
  const [head = "", ...rest] = output.split("\n\n");
  assert.deepEqual(head.split("\n"), [
    "Content-Type: text/plain; charset=utf-8",
    "X-Content-Type-Options: nosniff",
    "Cache-Control: no-store",
  ]);
  const body = rest.join("\n\n");
  assert.match(body, /^PATH_INFO {8}\/x$/m);
  assert(body.includes(`HTTP_USER_AGENT  ${attack}`));
  assert.doesNotMatch(body, /The body/);
});

Deno.test("hello.sh counts the bytes of a body", async () => {
  const output = await runScript({ REQUEST_METHOD: "POST", CONTENT_LENGTH: "7" }, "h\u00e9llo\0");
  assert.match(output, /The body has 7 bytes\.\n$/);
});
