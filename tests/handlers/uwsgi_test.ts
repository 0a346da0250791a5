/**
 * uwsgi: what the protocol asks of a gateway (U1 to U14), against responders that do as a test says and
 * against a real uWSGI server; what programs are told, side by side with nginx's uwsgi_pass.
 */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { kinds } from "../support/kinds.ts";
import { ask, Client } from "../support/client.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { freePort } from "../support/peers.ts";
import { delay } from "../upstreams/closing_probe.ts";
import {
  type ClosingApplication,
  type ClosingCall,
  type ClosingResponder,
  serveClosing,
} from "../upstreams/closing_responder.ts";
import { filling, sha256 } from "../upstreams/play.ts";
import {
  FLASK,
  startNginx,
  startUwsgi,
  UWSGI,
  type UwsgiServerOptions,
} from "../upstreams/uwsgi_server.ts";
import { linesOf } from "./contract.ts";

type Fields = Readonly<Record<string, unknown>>;

const HELLO = "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello";

function tableOf(uwsgi: unknown, route: Fields = {}): string {
  const routes = [{ path: "/app/*", uwsgi, ...route }];
  return `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`;
}

/** A gateway before a responder of our own. */
async function withResponder(
  application: ClosingApplication,
  body: (gateway: TestGateway, responder: ClosingResponder) => Promise<void>,
  { fields = {}, route = {} }: { fields?: Fields; route?: Fields } = {},
): Promise<void> {
  await using responder = await serveClosing("uwsgi", application);
  const table = tableOf({ connect: responder.address, ...fields }, route);
  await withGateway(table, (gateway) => body(gateway, responder));
  assert.deepEqual(responder.faults, []);
}

const hello = (call: ClosingCall) => call.write(HELLO);

async function failuresOf(gateway: TestGateway): Promise<(string | undefined)[]> {
  return (await linesOf(gateway.log())).map(({ failure }) => failure);
}

Deno.test("uwsgi: modifiers are 0 unless the route says otherwise (U5)", async () => {
  await withResponder(hello, async ({ port }, responder) => {
    assert.equal((await ask(port, { target: "/app/" })).text, "hello");
    assert.deepEqual(responder.modifiers, [0, 0]);
  });
  await withResponder(hello, async ({ port }, responder) => {
    await ask(port, { target: "/app/" });
    assert.deepEqual(responder.modifiers, [14, 255]);
  }, { fields: { modifier1: 14, modifier2: 255 } });
});

Deno.test("uwsgi: variables of more than 65,535 bytes are a 502 that names the largest (U4)", async () => {
  await withResponder(hello, async (gateway, responder) => {
    const headers = { "X-Small": "x".repeat(29_000), "X-Big": "y".repeat(33_000) };
    assert.equal((await ask(gateway.port, { target: "/app/", headers })).status, 502);
    const [line] = await linesOf(gateway.log());
    assert.equal(line?.failure, "uwsgi-too-large");
    assert.match(line?.message ?? "", /they take \d{5}, of which HTTP_X_BIG has 33000$/);
    assert.equal(responder.connections, 0);
    assert.equal((await ask(gateway.port, { target: "/app/" })).text, "hello");
  }, { fields: { env: { EXTRA: "e".repeat(4000) } } });
});

Deno.test("uwsgi: a variable that no packet holds is refused when the route is opened (U4)", async () => {
  const fields = { connect: "127.0.0.1:1", env: { EXTRA: "e".repeat(66_000) } };
  await assert.rejects(
    withGateway(tableOf(fields), () => Promise.resolve()),
    /Cannot open .*: EXTRA alone has 66000 bytes$/,
  );
});

Deno.test("uwsgi: a status line and a Status field are both understood (U6)", async () => {
  const heads = ["HTTP/1.1 404 NOT FOUND\r\n", "HTTP/1.0 404\r\n", "Status: 404 Not Found\r\n"];
  let turn = 0;
  await withResponder(
    (call) => call.write(`${heads[turn++]}X-A: b\r\n\r\ngone`),
    async ({ port }) => {
      for (const head of heads) {
        const answer = await ask(port, { target: "/app/" });
        assert.deepEqual([answer.status, answer.get("x-a"), answer.text], [404, "b", "gone"], head);
      }
    },
  );
});

Deno.test("uwsgi: a status line that makes no sense is a 502 (U14)", async () => {
  const heads = [
    "HTTP/1.1\r\n\r\n",
    "HTTP/1.1 20\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 -1\r\n\r\n",
    "HTTP/1.1 101 Switching\r\n\r\n",
    `HTTP/1.1 ${"9".repeat(5000)}\r\n\r\n`,
    "HTTP/1.1 200 OK\0\r\n\r\n",
    "\x00\x00\x00\x00",
  ];
  let turn = 0;
  await withResponder((call) => call.write(heads[turn++] ?? ""), async (gateway) => {
    for (const head of heads) {
      const answer = await ask(gateway.port, { target: "/app/" });
      assert.equal(answer.status, 502, JSON.stringify(head.slice(0, 40)));
    }
    assert.ok((await failuresOf(gateway)).every((failure) => failure !== "internal"));
  });
});

Deno.test("uwsgi: the connection's end ends a body without a length, a reset does not (U7)", async () => {
  const application = async (call: ClosingCall) => {
    await call.write("HTTP/1.1 200 OK\r\n\r\nfirst");
    await delay(50);
    await call.write("last");
    await delay(20);
    if (call.variables.get("QUERY_STRING") === "reset") call.reset();
  };
  await withResponder(application, async (gateway) => {
    const whole = await ask(gateway.port, { target: "/app/" });
    assert.deepEqual([whole.text, whole.whole], ["firstlast", true]);
    const cut = await ask(gateway.port, { target: "/app/?reset" });
    assert.equal(cut.whole, false);
    assert.deepEqual(await failuresOf(gateway), ["reply-cut"]);
  });
});

Deno.test("uwsgi: a body with its promised length is whole, whatever comes after (U7)", async () => {
  const application = async (call: ClosingCall) => {
    await call.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    await delay(30);
    await call.write("llo");
    if (call.variables.get("QUERY_STRING") === "reset") call.reset();
    // The client is not kept waiting for the application's afterthoughts.
    else await delay(60_000, call.signal);
  };
  await withResponder(application, async (gateway) => {
    for (const target of ["/app/", "/app/?reset"]) {
      const answer = await ask(gateway.port, { target });
      assert.deepEqual([answer.text, answer.whole], ["hello", true]);
    }
    assert.deepEqual(await failuresOf(gateway), []);
  });
});

Deno.test("uwsgi: one connection a request (U7)", async () => {
  await withResponder(hello, async ({ port }, responder) => {
    for (let count = 1; count <= 3; count++) {
      assert.equal((await ask(port, { target: "/app/" })).text, "hello");
      assert.equal(responder.connections, count);
    }
  });
});

Deno.test("uwsgi: a chunked upload is collected for its length, spooled or streamed (U8)", async () => {
  const application = async (call: ClosingCall) => {
    const length = call.variables.get("CONTENT_LENGTH");
    await call.write(`Status: 200\n\n${length} ${await new Response(call.body).text()}`);
  };
  const request = {
    method: "POST",
    target: "/app/",
    headers: { "Transfer-Encoding": "chunked" },
  };
  for (const requestBody of ["spool", "stream"]) {
    await withResponder(application, async ({ port }) => {
      using client = await Client.send(port, request);
      await client.write("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
      assert.equal((await client.answer()).text, "6 hello!");
    }, { route: { requestBody } });
  }
});

Deno.test("uwsgi: tells the scheme in UWSGI_SCHEME, which env may set (U9)", async () => {
  const application = (call: ClosingCall) =>
    call.write(`Status: 200\n\n${call.variables.get("UWSGI_SCHEME")}`);
  const trusting = (fields: Fields) => async (body: (port: number) => Promise<void>) => {
    await using responder = await serveClosing("uwsgi", application);
    const table = tableOf({ connect: responder.address, ...fields })
      .replace("server:\n", "server:\n  trustedProxies: [127.0.0.1]\n");
    await withGateway(table, ({ port }) => body(port));
  };
  const headers = { "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1" };
  await trusting({})(async (port) => {
    assert.equal((await ask(port, { target: "/app/" })).text, "http");
    assert.equal((await ask(port, { target: "/app/", headers })).text, "https");
  });
  await trusting({ env: { UWSGI_SCHEME: "ftp" } })(async (port) => {
    assert.equal((await ask(port, { target: "/app/", headers })).text, "ftp");
  });
});

Deno.test("uwsgi: no field of a client's becomes a variable that steers uWSGI (U10)", async () => {
  const names =
    "SCRIPT FILE APPID MODULE CALLABLE PYHOME CHDIR SETENV TOUCH_RELOAD CACHE_GET SCHEME"
      .split(" ");
  const application = (call: ClosingCall) =>
    call.write(
      `Status: 200\n\n${[...call.variables.keys()].filter((name) => /^UWSGI_/.test(name))}`,
    );
  await withResponder(application, async ({ port }) => {
    const spellings = names.flatMap((name): [string, string][] => [
      [`UWSGI_${name}`, "/etc/passwd"],
      [`UWSGI-${name}`, "/etc/passwd"],
      [`uwsgi_${name.toLowerCase()}`, "/etc/passwd"],
      [`UWSGI.${name}`, "/etc/passwd"],
    ]);
    const answer = await ask(port, { target: "/app/?UWSGI_FILE=x", headers: spellings });
    assert.equal(answer.text, "UWSGI_SCHEME,UWSGI_FILE");
  }, { fields: { env: { UWSGI_FILE: "/srv/deliberate.py" } } });
});

Deno.test("uwsgi: a server that closes without a word is a 502 that knows buffer-size (U4)", async () => {
  await withResponder(() => {}, async (gateway) => {
    assert.equal((await ask(gateway.port, { target: "/app/" })).status, 502);
    const headers = { "X-Large": "x".repeat(5000) };
    assert.equal((await ask(gateway.port, { target: "/app/", headers })).status, 502);
    const [first, second] = await linesOf(gateway.log());
    assert.equal(first?.failure, "no-output");
    assert.match(first?.message ?? "", /\(127\.0\.0\.1:\d+ closed the connection\)$/);
    assert.match(
      second?.message ?? "",
      /take \d{4} bytes, and uWSGI takes 4096 unless its buffer-size/,
    );
  });
});

Deno.test("uwsgi: nobody there is a 502, and of several the next one serves", async () => {
  await withGateway(tableOf(`127.0.0.1:${freePort()}`), async (gateway) => {
    assert.equal((await ask(gateway.port, { target: "/app/" })).status, 502);
    assert.deepEqual(await failuresOf(gateway), ["connect-refused"]);
  });
  await withGateway(tableOf("unix:/nowhere/socket"), async (gateway) => {
    assert.equal((await ask(gateway.port, { target: "/app/" })).status, 502);
    assert.deepEqual(await failuresOf(gateway), ["connect-refused"]);
  });
  await using one = await serveClosing("uwsgi", hello);
  await using two = await serveClosing("uwsgi", hello);
  const connect = [`127.0.0.1:${freePort()}`, one.address, two.address];
  await withGateway(tableOf({ connect }), async (gateway) => {
    for (let round = 0; round < 6; round++) {
      assert.equal((await ask(gateway.port, { target: "/app/" })).text, "hello");
    }
    assert.equal(one.connections + two.connections, 6);
    assert.ok(one.connections >= 2 && two.connections >= 2);
    // What stands in the log is no failure of a request, but of the address.
    assert.deepEqual((await failuresOf(gateway)).filter((name) => name !== undefined), []);
  });
});

Deno.test("uwsgi: a server that does not accept is a 504 in time", async () => {
  // One that never accepts, with its backlog filled: what comes then waits.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { port } = listener.addr;
  const fillers = Array.from({ length: 4 }, () => Deno.connect({ port }));
  await Promise.race([Promise.all(fillers), delay(200)]);
  const fields = { connect: `127.0.0.1:${port}`, connectTimeout: "150ms" };
  await withGateway(tableOf(fields), async (gateway) => {
    assert.equal((await ask(gateway.port, { target: "/app/" })).status, 504);
    assert.deepEqual(await failuresOf(gateway), ["connect-timeout"]);
  });
  listener.close();
  for (const filler of await Promise.allSettled(fillers)) {
    if (filler.status === "fulfilled") filler.value.close();
  }
  // What the gateway tried ends when the machine gives up on it.
  await delay(1500);
});

Deno.test("uwsgi: the pool bounds connections, queues, and answers 503 past that", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => release = resolve);
  const application = async (call: ClosingCall) => {
    if (call.variables.get("QUERY_STRING") === "hold") await held;
    await call.write(HELLO);
  };
  await withResponder(application, async (gateway, responder) => {
    const { port } = gateway;
    const first = ask(port, { target: "/app/?hold" });
    await eventually(() => responder.running === 1);
    const second = ask(port, { target: "/app/" });
    await eventually(() => gateway.ground.sweeper.size === 2);
    const third = await ask(port, { target: "/app/" });
    assert.deepEqual([third.status, third.get("retry-after")], [503, "1"]);
    assert.equal(responder.connections, 1);
    release();
    assert.equal((await first).text, "hello");
    assert.equal((await second).text, "hello");
    assert.deepEqual(await failuresOf(gateway), ["queue-full"]);
  }, { fields: { pool: { max: 1, queue: 1 } } });
});

Deno.test("uwsgi: a client that leaves closes the connection at once", async () => {
  const application = (call: ClosingCall) => delay(60_000, call.signal);
  await withResponder(application, async (gateway, responder) => {
    const client = await Client.send(gateway.port, { target: "/app/" });
    await eventually(() => responder.running === 1);
    client.close();
    await eventually(() => responder.running === 0, 1000);
  });
});

Deno.test("uwsgi: an application may answer before it has the body, and keeps none from coming", async () => {
  const application = (call: ClosingCall) =>
    call.write("HTTP/1.1 413 Too much\r\nContent-Length: 2\r\n\r\nno");
  for (const requestBody of ["spool", "stream"]) {
    await withResponder(application, async ({ port }) => {
      const body = "x".repeat(3 * 2 ** 20);
      const answer = await ask(port, { method: "POST", target: "/app/", body });
      assert.deepEqual([answer.status, answer.text, answer.whole], [413, "no", true]);
    }, { route: { requestBody } });
  }
});

Deno.test("uwsgi: requests that fail leave no slot and no connection behind", async () => {
  const replies = ["", "nonsense", "Status: 200\n\n", "HTTP/1.1 999\r\n\r\n", HELLO];
  let turn = 0;
  await withResponder(
    (call) => call.write(replies[turn++ % replies.length] ?? ""),
    async ({ port }) => {
      const statuses = [];
      for (let round = 0; round < 10; round++) {
        statuses.push((await ask(port, { target: "/app/" })).status);
      }
      assert.deepEqual(statuses, [502, 502, 200, 502, 200, 502, 502, 200, 502, 200]);
    },
    { fields: { pool: { max: 1, queue: 0 } } },
  );
});

Deno.test("uwsgi: faults of its fields are told at their place", () => {
  const faults: Readonly<Record<string, readonly [fields: string, fault: RegExp]>> = {
    "no address": ["{env: {}}", /^3:3: Missing key "connect": write it here$/],
    "an empty list": ["{connect: []}", /^3:20: Cannot be empty: write an address$/],
    "a modifier past a byte": [
      "{connect: a:1, modifier1: 256}",
      /^3:36: Cannot read this as a modifier: write a whole number from 0 to 255$/,
    ],
    "a modifier that is no number": ["{connect: a:1, modifier2: x}", /^3:36: Cannot read this as/],
    "CONTENT_LENGTH of its own": [
      "{connect: a:1, env: {CONTENT_LENGTH: 5}}",
      /^3:30: Cannot set CONTENT_LENGTH here: the protocol itself says it\. Leave it out$/,
    ],
    "no slot": ["{connect: a:1, pool: {max: 0}}", /^3:37: Cannot read 0 as a count/],
  };
  for (const [name, [fields, expected]] of Object.entries(faults)) {
    const text = `routes:\n- path: /\n  uwsgi: ${fields}\n`;
    assert.throws(() => parseTable(text, { file: "r.yaml", folder: TESTS }, kinds), (error) => {
      assert.ok(error instanceof ConfigError);
      const told = error.faults.map(({ line, column, message }) => `${line}:${column}: ${message}`);
      assert.match(told.join("\n"), expected, name);
      return true;
    });
  }
});

Deno.test("uwsgi: flags asks for the address, and for a socket's file", () => {
  const text = "routes:\n- {path: /, uwsgi: [10.0.0.1:3031, 'unix:s']}\n".replace(
    "[",
    "{connect: [",
  )
    .replace("]", "]}");
  const table = parseTable(text, { file: "r.yaml", folder: "/srv" }, kinds);
  const place = { folder: "/srv", runDir: "/run", spoolDir: "/spool" };
  const [route] = table.routes;
  const needs = route?.kind.permissions(route.fields, place, route.options) ?? [];
  const streaming = route?.kind.permissions(route.fields, place, {
    ...route.options,
    requestBody: "stream",
  });
  assert.deepEqual(streaming?.slice(needs.length).map(({ name, value }) => `${name} ${value}`), [
    "read /spool",
    "write /spool",
  ]);
  assert.deepEqual(needs.map(({ name, value }) => `${name} ${value}`), [
    "net 10.0.0.1:3031",
    "net unix:/srv/s",
    "read /srv/s",
    "write /srv/s",
  ]);
});

async function withUwsgi(
  server: UwsgiServerOptions,
  body: (gateway: TestGateway, folder: string) => Promise<void>,
  { fields = {}, route = {} }: { fields?: Fields; route?: Fields } = {},
): Promise<void> {
  await using uwsgi = await startUwsgi(server);
  const env = { MARK: `${uwsgi.folder}/mark` };
  const table = tableOf({ connect: uwsgi.address, env, ...fields }, route);
  await withGateway(table, (gateway) => body(gateway, uwsgi.folder));
}

for (const transport of ["tcp", "unix"] as const) {
  testWith(UWSGI, `uWSGI: serves a Python application over ${transport} (U11)`, async () => {
    await withUwsgi({ app: "uwsgi_app.py", transport }, async ({ base }) => {
      const answer = await fetch(`${base}/app/hello`);
      assert.deepEqual([answer.status, await answer.text()], [200, "Hello, world!\n"]);
      assert.equal(answer.headers.get("content-length"), "14");
      const [environ, ...more] = await Promise.all(
        Array.from({ length: 20 }, async () => await (await fetch(`${base}/app/environ`)).json()),
      );
      assert.deepEqual([environ.SCRIPT_NAME, environ.PATH_INFO], ["/app", "/environ"]);
      assert.equal(environ["wsgi.url_scheme"], "http");
      assert.equal(more.length, 19);
    });
  });
}

testWith(UWSGI, "uWSGI: streams, as the application yields", async () => {
  await withUwsgi({ app: "uwsgi_app.py" }, async ({ port }) => {
    using client = await Client.send(port, { target: "/app/ticks" });
    await client.head();
    assert.equal(await client.some(), "7\r\ntick 0\n\r\n");
    const { text, whole } = await client.body();
    assert.deepEqual([text, whole], ["tick 1\ntick 2\n", true]);
  });
});

testWith(UWSGI, "uWSGI: a large reply arrives whole", async () => {
  await withUwsgi({ app: "uwsgi_app.py" }, async ({ base }) => {
    const bytes = new Uint8Array(await (await fetch(`${base}/app/large`)).arrayBuffer());
    assert.equal(bytes.length, 20 * 2 ** 20);
    assert.ok(bytes.every((byte, at) => byte === (at & 255)));
  });
});

for (const requestBody of ["spool", "stream"]) {
  testWith(UWSGI, `uWSGI: ${requestBody}: a large upload arrives whole`, async () => {
    const body = filling(12 * 2 ** 20);
    await withUwsgi({ app: "uwsgi_app.py" }, async ({ port }) => {
      const text = new TextDecoder("latin1").decode(body);
      const answer = await ask(port, { method: "POST", target: "/app/upload", body: text });
      assert.equal(answer.text, `${body.length} ${await sha256(body)}`);
    }, { route: { requestBody } });
  });
}

testWith(UWSGI, "uWSGI: the application is told that its client has left", async () => {
  await withUwsgi({ app: "uwsgi_app.py" }, async ({ port }, folder) => {
    const client = await Client.send(port, { target: "/app/endless" });
    await client.head();
    client.close();
    const closed = () => Deno.readTextFile(`${folder}/mark`).catch(() => "");
    await eventually(async () => await closed() === "closed\n", 2000);
  });
});

testWith(
  UWSGI,
  "uWSGI: an application that fails is a 500, one that is killed is cut short",
  async () => {
    await withUwsgi({ app: "uwsgi_app.py" }, async (gateway) => {
      // uWSGI answers by itself, with nothing to say.
      assert.ok([500, 502].includes((await ask(gateway.port, { target: "/app/failing" })).status));
      const cut = await ask(gateway.port, { target: "/app/killed" });
      assert.deepEqual([cut.status, cut.whole], [200, false]);
      assert.equal((await ask(gateway.port, { target: "/app/hello" })).status, 200);
    });
  },
);

testWith(
  UWSGI,
  "uWSGI: more variables than its buffer-size are an explained 502 (U4)",
  async () => {
    await withUwsgi({ app: "uwsgi_app.py" }, async (gateway) => {
      const headers = { "X-Large": "x".repeat(5000) };
      assert.equal((await ask(gateway.port, { target: "/app/hello", headers })).status, 502);
      const [line] = await linesOf(gateway.log());
      assert.match(line?.message ?? "", /buffer-size/);
    });
    const options = ["--buffer-size", "65535"];
    await withUwsgi({ app: "uwsgi_app.py", options }, async ({ base }) => {
      const headers = { "X-Large": "x".repeat(60_000) };
      const environ = await (await fetch(`${base}/app/environ`, { headers })).json();
      assert.equal(environ.HTTP_X_LARGE.length, 60_000);
    });
  },
);

testWith(UWSGI, "uWSGI: modifier1 chooses its plugin (U5)", async () => {
  await withUwsgi({ app: "uwsgi_app.py" }, async ({ base }) => {
    // No plugin of this number is loaded: the server says so in its log and closes.
    const answer = await fetch(`${base}/app/hello`);
    assert.equal(answer.status, 502);
    await answer.body?.cancel();
  }, { fields: { modifier1: 5 } });
});

testWith([...UWSGI, ...FLASK], "uWSGI: Flask works as it does anywhere", async () => {
  const options = ["--mount", `/app=${TESTS}/upstreams/flask_app.py:app`, "--manage-script-name"];
  await withUwsgi({ app: "flask_app.py:app", options }, async ({ base }) => {
    assert.equal(await (await fetch(`${base}/app/`)).text(), "Flask says hello\n");
    const there = await fetch(`${base}/app/there`, { redirect: "manual" });
    await there.body?.cancel();
    assert.deepEqual([there.status, there.headers.get("location")], [302, `${base}/app/`]);
    const form = new FormData();
    form.set("name", "caf\u00e9");
    form.set("file", new Blob([filling(2 ** 20)]), "a.txt");
    const said = await (await fetch(`${base}/app/form`, { method: "POST", body: form })).json();
    assert.deepEqual(said, { fields: { name: "caf\u00e9" }, file: 2 ** 20 });
    const cookies = await fetch(`${base}/app/cookie`, { headers: { cookie: "x=1; y=2" } });
    assert.deepEqual(await cookies.json(), { x: "1", y: "2" });
    assert.deepEqual(cookies.headers.getSetCookie(), ["a=1; Path=/", "b=2; Path=/"]);
    const body = filling(2 ** 20);
    const unread = await fetch(`${base}/app/unread`, { method: "POST", body });
    assert.deepEqual([unread.status, await unread.text()], [413, "not read"]);
    const none = await fetch(`${base}/app/none`);
    await none.body?.cancel();
    assert.equal(none.status, 404);
  });
});

/** What both servers tell, but from their own point of view. */
const OWN_VIEW = ["HTTP_HOST", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT"];
/** RFC 3875 has these, and uwsgi_params has not. */
const OURS_ALONE = [
  "DOCUMENT_URI",
  "GATEWAY_INTERFACE",
  "REDIRECT_STATUS",
  "REMOTE_HOST",
  "REQUEST_ID",
  "SCRIPT_NAME",
  "SERVER_ADDR",
  "SERVER_SOFTWARE",
  "UWSGI_SCHEME",
];

testWith(
  [...UWSGI, "nginx"],
  "uWSGI: an application is told what nginx's uwsgi_pass tells (U9)",
  async () => {
    await using uwsgi = await startUwsgi({ app: "uwsgi_app.py" });
    await using nginx = await startNginx(
      `include /etc/nginx/uwsgi_params; uwsgi_pass ${uwsgi.address};`,
    );
    const headers = {
      "X-A": "1",
      Cookie: "a=1",
      "Content-Type": "text/plain",
      Authorization: "x y",
    };
    const target = "/a%20b/%C3%A9/environ?x=1&y=%2F";
    const requests: RequestInit[] = [{ headers }, { method: "POST", body: "hello", headers }];
    await withGateway(`routes: [{path: "/*", uwsgi: "${uwsgi.address}"}]`, async ({ base }) => {
      for (const request of requests) {
        const theirs = await (await fetch(`http://${nginx.address}${target}`, request)).json();
        const ours = await (await fetch(`${base}${target}`, request)).json();
        for (const name of OWN_VIEW) {
          assert.ok(name in ours && name in theirs, name);
          delete ours[name];
          delete theirs[name];
        }
        for (const name of OURS_ALONE) {
          assert.ok(name in ours && !(name in theirs), name);
          delete ours[name];
        }
        // Told under names of their own already; and a path of nginx's own.
        for (const name of ["HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "DOCUMENT_ROOT"]) {
          assert.equal(name in ours, false, name);
          delete theirs[name];
        }
        // nginx says an empty length where there is no body (RFC 3875 §4.1.2: none then).
        if (theirs.CONTENT_LENGTH === "") delete theirs.CONTENT_LENGTH;
        assert.deepEqual(ours, theirs);
      }
    });
  },
);

testWith(UWSGI, "uWSGI: a full backlog of a Unix socket is waited for", async () => {
  const options = ["--listen", "1"];
  await withUwsgi({ app: "uwsgi_app.py", processes: 1, options }, async ({ base }) => {
    const texts = await Promise.all(
      Array.from({ length: 40 }, async () => await (await fetch(`${base}/app/hello`)).text()),
    );
    assert.ok(texts.every((text) => text === "Hello, world!\n"));
  });
});
