/** What the gateway makes of FastCGI records that no good responder would send, or not in this way. */
import assert from "node:assert/strict";
import { ask, type Body, Client, type Head } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import {
  end,
  err,
  joined,
  out,
  OUT_END,
  type RawOptions,
  type RawResponder,
  record,
  type Script,
  serveRaw,
} from "../upstreams/raw_fastcgi.ts";
import { linesOf } from "./contract.ts";

const HEAD = "Content-Type: text/plain\n\n";
const HELLO = out(`${HEAD}hello`);
/** What a well-behaved responder answers. */
const GOOD = joined(HELLO, OUT_END, end());
const LENGTH_5 = out("Content-Length: 5\n\nhello");

interface Scene {
  readonly gateway: TestGateway;
  readonly responder: RawResponder;
  ask(method?: string, body?: string): Promise<Head & Body>;
}

interface Setting extends RawOptions {
  /** Fields of the handler. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Options of the route. */
  readonly route?: Readonly<Record<string, unknown>>;
}

async function withRaw(
  script: Script,
  body: (scene: Scene) => Promise<void>,
  { fields = {}, route = {}, ...options }: Setting = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-raw-" });
  try {
    await using responder = serveRaw(`${folder}/s`, script, options);
    const fastcgi = { connect: `unix:${folder}/s`, ...fields };
    const routes = JSON.stringify([{ path: "/*", fastcgi, ...route }]);
    await withGateway(`server:\n  accessLog: json\nroutes: ${routes}\n`, async (gateway) => {
      await body({
        gateway,
        responder,
        ask: (method = "GET", body) =>
          ask(gateway.port, { method, target: "/x", ...(body === undefined ? {} : { body }) }),
      });
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Row {
  readonly sends: Uint8Array<ArrayBuffer>;
  /** Close the connection behind it. */
  readonly closes?: boolean;
  readonly status: number;
  /** Default true. */
  readonly whole?: boolean;
  readonly body?: string;
  /** The failure in the log. */
  readonly failure?: string;
  /** Another line in the log. */
  readonly notice?: RegExp;
  /** Whether the connection serves a second request; undefined: either will do. */
  readonly reused?: boolean;
}

const good = { status: 200, body: "hello" };

const ROWS: Readonly<Record<string, Row>> = {
  "a reply as it should be": { ...good, sends: GOOD, reused: true },
  "END_REQUEST without an empty STDOUT": { ...good, sends: joined(HELLO, end()), reused: true },
  "padding behind every record": {
    ...good,
    sends: joined(
      out(`${HEAD}hel`, { padding: 5 }),
      out("lo", { padding: 255 }),
      out("", { padding: 8 }),
      record(3, "\0\0\0\0\0\0\0\0", { padding: 8 }),
    ),
    reused: true,
  },
  "a record for each byte": {
    ...good,
    sends: joined(...[...`${HEAD}hello`].map((char) => out(char)), OUT_END, end()),
    reused: true,
  },
  "STDERR in the midst of the head": {
    ...good,
    sends: joined(out(HEAD.slice(0, 9)), err("oh\n"), out(`${HEAD.slice(9)}hello`), err(""), end()),
    notice: /^oh$/,
    reused: true,
  },
  "an application status": {
    ...good,
    sends: joined(HELLO, OUT_END, end(9)),
    notice: /ended with application status 9/,
    reused: true,
  },
  "management records that nobody asked for": {
    ...good,
    sends: joined(record(10, "\x0f\x01FCGI_MPXS_CONNS0", { id: 0 }), HELLO, end()),
    reused: true,
  },
  "a record of unknown type": {
    ...good,
    sends: joined(out(HEAD), record(99, "what"), out("hello"), OUT_END, end()),
    notice: /record of type 99: skipped/,
  },
  "records of another request": {
    ...good,
    sends: joined(
      out("X-Evil: 1\n\n", { id: 2 }),
      out(HEAD),
      out("evil", { id: 7 }),
      out("hello"),
      end(),
    ),
    notice: /for request 2: skipped/,
  },
  "records of another request alone": {
    sends: joined(out(`${HEAD}evil`, { id: 2 }), end()),
    status: 502,
    failure: "no-output",
    notice: /for request 2: skipped/,
  },
  "END_REQUEST alone": { sends: end(), status: 502, failure: "no-output" },
  "STDERR alone": {
    sends: joined(err("it broke\n"), end(1)),
    status: 502,
    failure: "no-output",
    notice: /^it broke$/,
  },
  "an empty STDOUT alone": { sends: OUT_END, status: 502, failure: "no-output" },
  "half a head": { sends: joined(out("A: b\nC: d"), end()), status: 502, failure: "head-cut" },
  "OVERLOADED": { sends: end(0, "overloaded"), status: 503, failure: "fcgi-overloaded" },
  "CANT_MPX_CONN": { sends: end(0, "cant-mpx-conn"), status: 502, failure: "fcgi-cant-mpx" },
  "UNKNOWN_ROLE": { sends: end(0, "unknown-role"), status: 502, failure: "fcgi-unknown-role" },
  "a protocolStatus that is none": {
    sends: joined(HELLO, record(3, "\0\0\0\0\x07\0\0\0")),
    status: 502,
    failure: "fcgi-record",
  },
  "another version at first": {
    sends: record(6, `${HEAD}hello`, { version: 2 }),
    status: 502,
    failure: "fcgi-version",
    reused: false,
  },
  "no FastCGI at all": {
    sends: new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n"),
    status: 502,
    failure: "fcgi-version",
    reused: false,
  },
  "a close without a word": { sends: joined(), closes: true, status: 502, failure: "no-output" },
  "a close in the head": { sends: out("A: b\n"), closes: true, status: 502, failure: "head-cut" },
  "a close without END_REQUEST": {
    sends: HELLO,
    closes: true,
    status: 200,
    whole: false,
    failure: "reply-cut",
  },
  "a close in the midst of a record": {
    sends: joined(HELLO, out("and more").slice(0, 11)),
    closes: true,
    status: 200,
    whole: false,
    failure: "reply-cut",
  },
  "a close behind an empty STDOUT": { ...good, sends: joined(HELLO, OUT_END), closes: true },
  "a close behind all of the Content-Length": { ...good, sends: LENGTH_5, closes: true },
  "a close before all of the Content-Length": {
    sends: out("Content-Length: 6\n\nhello"),
    closes: true,
    status: 200,
    whole: false,
    failure: "reply-cut",
  },
  "more bytes behind END_REQUEST": { ...good, sends: joined(GOOD, out("evil")), reused: false },
  "half a record behind END_REQUEST": {
    ...good,
    sends: joined(GOOD, out("evil").slice(0, 5)),
    reused: false,
  },
};

for (const [name, row] of Object.entries(ROWS)) {
  Deno.test(`fastcgi: ${name} is answered as the table says`, async () => {
    const script: Script = async (wire, { connection, params }) => {
      if (params.get("REQUEST_METHOD") === "OPTIONS") return await wire.write(GOOD);
      // What was closed without a byte is asked for again.
      if (row.sends.length > 0) assert.equal(connection, 1);
      await wire.write(row.sends);
      if (row.closes) wire.close();
    };
    await withRaw(script, async ({ ask, gateway, responder }) => {
      const answer = await ask();
      assert.equal(answer.status, row.status);
      assert.equal(answer.whole, row.whole ?? true);
      if (row.body !== undefined) assert.equal(answer.text, row.body);
      if (row.status === 503) assert.equal(answer.get("retry-after"), "1");
      const lines = await linesOf(gateway.log());
      assert.deepEqual(
        lines.flatMap(({ failure }) => failure ?? []),
        row.failure === undefined ? [] : [row.failure],
      );
      const others = lines.filter(({ failure }) => failure === undefined);
      if (row.notice === undefined) assert.deepEqual(others, []);
      else assert.match(others[0]?.message ?? "", row.notice);
      // Whatever was left behind must not reach the next request.
      assert.equal((await ask("OPTIONS")).text, "hello");
      if (row.reused !== undefined) assert.equal(responder.connections, row.reused ? 1 : 2);
    });
  });
}

Deno.test("fastcgi: bytes may come one by one", async () => {
  const sends = joined(out(HEAD, { padding: 3 }), out("hello"), OUT_END, end());
  await withRaw((wire) => wire.writeSlowly(sends), async ({ ask, gateway }) => {
    const answer = await ask();
    assert.equal(answer.text, "hello");
    assert.ok(answer.whole);
    assert.deepEqual(await linesOf(gateway.log()), []);
  });
});

Deno.test("fastcgi: another version in the midst of a body cuts the answer off", async () => {
  const script: Script = async (wire) => {
    await wire.write(HELLO);
    await pause(30);
    await wire.write(record(6, "more", { version: 9 }));
  };
  await withRaw(script, async ({ ask, gateway, responder }) => {
    const answer = await ask();
    assert.equal(answer.text, "hello");
    assert.equal(answer.whole, false);
    assert.equal((await linesOf(gateway.log()))[0]?.failure, "fcgi-version");
    await eventually(() => responder.open === 0);
  });
});

Deno.test("fastcgi: OVERLOADED in the midst of a body cuts the answer off", async () => {
  const script: Script = async (wire) => {
    await wire.write(HELLO);
    await pause(30);
    await wire.write(end(0, "overloaded"));
  };
  await withRaw(script, async ({ ask }) => assert.equal((await ask()).whole, false));
});

Deno.test("fastcgi: an empty STDOUT ends the answer, and END_REQUEST may follow", async () => {
  const script: Script = async (wire) => {
    await wire.write(joined(HELLO, OUT_END));
    await pause(100);
    await wire.write(end());
  };
  await withRaw(script, async ({ ask, responder }) => {
    // Until the first connection is free again, another serves.
    assert.equal((await ask()).text, "hello");
    assert.equal((await ask()).text, "hello");
    assert.equal(responder.connections, 2);
    await pause(250);
    assert.equal((await ask()).text, "hello");
    assert.equal(responder.connections, 2);
  });
});

Deno.test("fastcgi: a connection that never sees END_REQUEST is closed", async () => {
  await withRaw((wire) => wire.write(joined(HELLO, OUT_END)), async ({ ask, responder }) => {
    assert.equal((await ask()).text, "hello");
    await eventually(() => responder.open === 0);
  });
});

Deno.test("fastcgi: bytes on a connection at rest close it", async () => {
  const script: Script = async (wire, { connection }) => {
    await wire.write(GOOD);
    if (connection > 1) return;
    await pause(30);
    await wire.write(out(`${HEAD}evil`));
  };
  await withRaw(script, async ({ ask, responder }) => {
    assert.equal((await ask()).text, "hello");
    await eventually(() => responder.open === 0);
    assert.equal((await ask()).text, "hello");
    assert.equal(responder.connections, 2);
  });
});

/** Serves the first request of each connection but the last, and drops whoever comes second. */
const dropsSecond = (): Script => {
  const served = new Set<number>();
  return async (wire, { connection }) => {
    if (served.has(connection)) return wire.close();
    served.add(connection);
    await wire.write(GOOD);
  };
};

for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]) {
  Deno.test(`fastcgi: ${method} is sent again when the kept connection was gone`, async () => {
    await withRaw(dropsSecond(), async ({ ask, responder, gateway }) => {
      await ask();
      const body = method === "PUT" ? "body" : undefined;
      assert.equal((await ask(method, body)).status, 200);
      assert.equal(responder.connections, 2);
      assert.equal(responder.requests.at(-1)?.body, body ?? "");
      assert.deepEqual(await linesOf(gateway.log()), []);
    });
  });
}

Deno.test("fastcgi: a body that is sent again is the whole body, as far as it is kept", async () => {
  await withRaw(dropsSecond(), async ({ ask, responder }) => {
    for (const length of [65_536, 65_537, 2 ** 20]) {
      await ask();
      const body = "x".repeat(length);
      assert.equal((await ask("PUT", body)).status, 200);
      assert.ok(responder.requests.at(-1)?.body === body, `${length} bytes`);
    }
  });
});

Deno.test("fastcgi: a body in a file is gone with its request, whatever becomes of it", async () => {
  const body = "x".repeat(2 ** 20 + 1);
  // The sanitizers look after the file.
  await withRaw((wire) => wire.write(GOOD), async ({ ask }) => {
    assert.equal((await ask("POST", body)).text, "hello");
  });
  await withRaw(dropsSecond(), async ({ ask }) => {
    await ask();
    assert.equal((await ask("PUT", body)).status, 502);
  });
  await withRaw((wire) => wire.write(GOOD), async ({ ask }) => {
    assert.equal((await ask("POST", body)).status, 502);
  }, { fields: { connect: "unix:/nowhere/socket" } });
});

Deno.test("fastcgi: POST is never sent twice", async () => {
  await withRaw(dropsSecond(), async ({ ask, responder }) => {
    await ask();
    assert.equal((await ask("POST", "pay")).status, 502);
    assert.equal(responder.requests.length, 2);
  });
});

Deno.test("fastcgi: GET is sent three times at most, and once when an answer had begun", async () => {
  const alwaysDrops: Script = async (wire, { connection, params }) => {
    if (connection === 1 && params.get("REQUEST_METHOD") === "OPTIONS") {
      return await wire.write(GOOD);
    }
    wire.close();
  };
  await withRaw(alwaysDrops, async ({ ask, responder }) => {
    await ask("OPTIONS");
    assert.equal((await ask()).status, 502);
    assert.equal(responder.requests.length, 4);
  });
  const begins: Script = async (wire, { params }) => {
    if (params.get("REQUEST_METHOD") === "OPTIONS") return await wire.write(GOOD);
    await wire.write(err("x"));
    wire.close();
  };
  await withRaw(begins, async ({ ask, responder }) => {
    await ask("OPTIONS");
    assert.equal((await ask()).status, 502);
    assert.equal(responder.requests.length, 2);
  });
});

Deno.test("fastcgi: a responder may answer before it has read the body, or never read it", async () => {
  await withRaw((wire) => wire.write(GOOD), async ({ ask, responder, gateway }) => {
    const answer = await ask("POST", "x".repeat(3 * 2 ** 20));
    assert.equal(answer.text, "hello");
    assert.ok(answer.whole);
    // What is left of the body must not reach the next request.
    assert.equal((await ask()).text, "hello");
    assert.equal(responder.connections, 2);
    assert.deepEqual(await linesOf(gateway.log()), []);
  }, { early: true });
});

Deno.test("fastcgi: a client that leaves aborts the request, and its connection", async () => {
  const seen = Promise.withResolvers<readonly string[]>();
  const script: Script = async (wire) => {
    await wire.write(HELLO);
    seen.resolve(await wire.closed);
  };
  await withRaw(script, async ({ gateway }) => {
    using client = await Client.send(gateway.port, { target: "/" });
    await client.head();
    client.close();
    assert.deepEqual(await seen.promise, [
      "begin-request",
      "params",
      "params",
      "stdin",
      "abort-request",
    ]);
  });
});

Deno.test("fastcgi: sends a request as FastCGI wants it", async () => {
  await withRaw((wire) => wire.write(GOOD), async ({ ask, responder }) => {
    await ask("POST", "body");
    const [request] = responder.requests;
    assert.ok(request !== undefined);
    const { id, role, keepConnection, body, params } = request;
    assert.deepEqual([id, role, keepConnection, body], [1, "responder", true, "body"]);
    assert.equal(params.get("CONTENT_LENGTH"), "4");
  });
});

Deno.test("fastcgi: without keepAlive every request has a connection, closed by us", async () => {
  await withRaw((wire) => wire.write(GOOD), async ({ ask, responder }) => {
    for (let round = 0; round < 3; round++) assert.equal((await ask()).text, "hello");
    assert.equal(responder.connections, 3);
    assert.ok(responder.requests.every(({ keepConnection }) => !keepConnection));
    await eventually(() => responder.open === 0);
  }, { fields: { pool: { keepAlive: false } } });
});

Deno.test("fastcgi: PARAMS may be larger than a record", async () => {
  await withRaw((wire) => wire.write(GOOD), async ({ ask, responder }) => {
    assert.equal((await ask()).text, "hello");
    const [request] = responder.requests;
    assert.equal(request?.params.get("BIG")?.length, 100_000);
    assert.equal(request?.params.get("REQUEST_METHOD"), "GET");
  }, { fields: { env: { BIG: "x".repeat(100_000) } } });
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
