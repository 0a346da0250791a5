/** Requests that share a connection, and applications that do not let them (FastCGI 1.0 §3.3, §4.1, §5). */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import {
  type Multiplexing,
  type MultiplexingOptions,
  serveMultiplexing,
  type SharedCall,
} from "../upstreams/multiplexing_fastcgi.ts";
import { linesOf } from "./contract.ts";

const HEAD = "Content-Type: text/plain\n\n";
const CAN = { FCGI_MPXS_CONNS: "1", FCGI_MAX_REQS: "50", FCGI_MAX_CONNS: "2" };

interface Scene {
  readonly gateway: TestGateway;
  readonly app: Multiplexing;
}

async function withApp(
  answer: (call: SharedCall) => Promise<void>,
  options: MultiplexingOptions,
  body: (scene: Scene) => Promise<void>,
  pool = "",
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-mpx-" });
  try {
    await using app = serveMultiplexing(`${folder}/s`, answer, options);
    const table = `server:
  accessLog: json
routes:
  - path: /*
    fastcgi: {connect: "unix:${folder}/s", pool: {multiplex: true, ${pool}}}
`;
    await withGateway(table, (gateway) => body({ gateway, app }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Says which request it was, in three pieces. */
async function echo({ write, params, body }: SharedCall): Promise<void> {
  await write(`${HEAD}${params.get("PATH_INFO")}`);
  await pause(5);
  await write(` ${params.get("QUERY_STRING")} `);
  await pause(5);
  await write(body);
}

Deno.test("fastcgi: requests share a connection if the application can (§3.3, §4.1)", async () => {
  await withApp(echo, { values: CAN }, async ({ gateway, app }) => {
    const one = async (index: number) => {
      const body = `body ${index} `.repeat(index * 100);
      const answer = await ask(gateway.port, {
        method: index % 2 === 0 ? "POST" : "PUT",
        target: `/${index}?q=${index}`,
        body,
      });
      assert.equal(answer.text, `/${index} q=${index} ${body}`);
      assert.ok(answer.whole);
    };
    for (let round = 0; round < 3; round++) {
      await Promise.all(Array.from({ length: 24 }, (_, index) => one(index)));
    }
    assert.equal(app.connections, 1);
    assert.ok(app.most > 10, String(app.most));
    assert.deepEqual(app.asked, ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"]);
    // Ids are small and used again.
    assert.ok(app.calls.every(({ id }) => id >= 1 && id <= 32));
    assert.deepEqual(await linesOf(gateway.log()), []);
  });
});

Deno.test("fastcgi: no more requests are under way than FCGI_MAX_REQS, and the rest wait", async () => {
  const state = { now: 0, most: 0 };
  const answer = async ({ write }: SharedCall) => {
    state.most = Math.max(state.most, ++state.now);
    await pause(20);
    state.now--;
    await write(HEAD);
  };
  const values = { FCGI_MPXS_CONNS: "1", FCGI_MAX_REQS: "3" };
  await withApp(answer, { values }, async ({ gateway }) => {
    const all = await Promise.all(
      Array.from({ length: 12 }, () => ask(gateway.port, { target: "/" })),
    );
    assert.ok(all.every(({ status }) => status === 200));
    assert.equal(state.most, 3);
  });
});

const WONT: Readonly<Record<string, MultiplexingOptions["values"]>> = {
  "says no": { FCGI_MPXS_CONNS: "0" },
  "answers in part": { FCGI_MAX_REQS: "9" },
  "answers with nothing": {},
  "does not answer": undefined,
};

for (const [what, values] of Object.entries(WONT)) {
  Deno.test(`fastcgi: an application that ${what} has each request on its own connection (§4.1)`, async () => {
    await withApp(echo, { values }, async ({ gateway, app }) => {
      const since = performance.now();
      const all = await Promise.all(
        Array.from({ length: 6 }, (_, index) => ask(gateway.port, { target: `/${index}` })),
      );
      assert.deepEqual(all.map(({ text }) => text), [0, 1, 2, 3, 4, 5].map((n) => `/${n}  `));
      assert.ok(performance.now() - since < 1000);
      assert.equal(app.most, 1);
      // It is asked once.
      assert.equal(app.asked.length, 3);
      const [line] = await linesOf(gateway.log());
      assert.match(line?.message ?? "", /does not multiplex: each request has a connection/);
    });
  });
}

Deno.test("fastcgi: CANT_MPX_CONN ends the sharing, and loses no request (§5.5)", async () => {
  await withApp(echo, { values: CAN, refuses: true }, async ({ gateway, app }) => {
    const all = await Promise.all(
      Array.from(
        { length: 8 },
        (_, index) => ask(gateway.port, { method: "POST", target: `/${index}`, body: "b" }),
      ),
    );
    assert.deepEqual(all.map(({ status, text }) => [status, text.slice(0, 2)]), [
      ...Array.from({ length: 8 }, (_, index) => [200, `/${index}`]),
    ]);
    assert.equal(app.most, 1);
    // No POST ran twice.
    assert.equal(app.calls.length, 8);
    assert.match(JSON.stringify(await linesOf(gateway.log())), /not multiplexed any more/);
  });
});

Deno.test("fastcgi: who leaves is aborted by a record, and the connection stays (§5.4)", async () => {
  const left: string[] = [];
  const answer = async (call: SharedCall) => {
    await call.write(`${HEAD}one `);
    const path = call.params.get("PATH_INFO") ?? "";
    if (path !== "/hang") return await pause(100);
    await new Promise((resolve) => call.aborted.addEventListener("abort", resolve));
    left.push(path);
    // What still comes of it is nobody's.
    await call.write("too late");
  };
  await withApp(answer, { values: CAN }, async ({ gateway, app }) => {
    const client = await Client.send(gateway.port, { target: "/hang" });
    await client.head();
    const other = ask(gateway.port, { target: "/other" });
    client.close();
    await eventually(() => left.length === 1);
    assert.equal((await other).text, "one ");
    for (let round = 0; round < 3; round++) {
      assert.equal((await ask(gateway.port, { target: "/next" })).text, "one ");
    }
    assert.equal(app.connections, 1);
  });
});

Deno.test("fastcgi: a connection on which an aborted request never ends gets no further ones", async () => {
  const answer = async (call: SharedCall) => {
    await call.write(`${HEAD}begun `);
    const path = call.params.get("PATH_INFO");
    // Deaf to ABORT_REQUEST.
    await pause(path === "/deaf" ? 3000 : path === "/long" ? 1500 : 0);
    await call.write("whole");
  };
  await withApp(answer, { values: CAN }, async ({ gateway, app }) => {
    const client = await Client.send(gateway.port, { target: "/deaf" });
    await client.head();
    client.close();
    const long = ask(gateway.port, { target: "/long" });
    assert.equal((await ask(gateway.port, { target: "/1" })).text, "begun whole");
    assert.equal(app.connections, 1);
    await pause(1200);
    assert.equal((await ask(gateway.port, { target: "/2" })).text, "begun whole");
    assert.equal(app.connections, 2);
    // Who is on it still is served to the end.
    assert.equal((await long).text, "begun whole");
  });
});

Deno.test("fastcgi: a connection that breaks cuts off all its replies, and no other request", async () => {
  const answer = async (call: SharedCall) => {
    const path = call.params.get("PATH_INFO");
    await call.write(`${HEAD}begun `);
    await pause(path === "/bad" ? 60 : 150);
    if (path === "/bad") return call.hangUp();
    await call.write("whole");
  };
  await withApp(answer, { values: CAN }, async ({ gateway, app }) => {
    const two = [ask(gateway.port, { target: "/good" }), ask(gateway.port, { target: "/bad" })];
    const cut = await Promise.all(two);
    assert.deepEqual(cut.map(({ whole }) => whole), [false, false]);
    assert.equal((await ask(gateway.port, { target: "/good" })).text, "begun whole");
    assert.equal(app.connections, 2);
  });
});

Deno.test("fastcgi: GET is sent again when a shared connection broke before its answer, POST is not", async () => {
  const seen = { broke: false };
  const answer = async (call: SharedCall) => {
    if (call.params.get("PATH_INFO") === "/first") return await call.write(HEAD);
    await pause(50);
    if (!seen.broke) {
      seen.broke = true;
      return call.hangUp();
    }
    await call.write(`${HEAD}again`);
  };
  await withApp(answer, { values: CAN }, async ({ gateway, app }) => {
    await ask(gateway.port, { target: "/first" });
    const get = ask(gateway.port, { target: "/get" });
    const post = ask(gateway.port, { method: "POST", target: "/post", body: "pay" });
    assert.deepEqual([(await get).text, (await post).status], ["again", 502]);
    const posts = app.calls.filter(({ params }) => params.get("REQUEST_METHOD") === "POST");
    assert.equal(posts.length, 1);
  });
});

const BIG = 32 * 2 ** 20;

async function flood(call: SharedCall): Promise<void> {
  await call.write(HEAD);
  const path = call.params.get("PATH_INFO");
  if (path !== "/big") return await call.write("small");
  for (let sent = 0; sent < BIG; sent += 65_536) await call.write(new Uint8Array(65_536));
}

Deno.test("fastcgi: a slow client that is alone on its connection is waited for", async () => {
  await withApp(flood, { values: CAN }, async ({ gateway, app }) => {
    using slow = await Client.send(gateway.port, { target: "/big" });
    await slow.head();
    await pause(300);
    // The others have another connection meanwhile.
    for (let round = 0; round < 3; round++) {
      assert.equal((await ask(gateway.port, { target: "/x" })).text, "small");
    }
    assert.equal(app.connections, 2);
    await pause(1000);
    const { bytes, whole } = await slow.body();
    assert.deepEqual([bytes.length, whole], [BIG, true]);
  });
});

Deno.test("fastcgi: a slow client holds up those on its connection for a second, then is cut off", async () => {
  const answer = async (call: SharedCall) => {
    if (call.params.get("PATH_INFO") === "/big") return await flood(call);
    await call.write(`${HEAD}begun `);
    await pause(300);
    await call.write("whole");
  };
  await withApp(answer, { values: CAN }, async ({ gateway, app }) => {
    await ask(gateway.port, { target: "/warm" });
    const patient = ask(gateway.port, { target: "/x" });
    await pause(50);
    using slow = await Client.send(gateway.port, { target: "/big" });
    await slow.head();
    const since = performance.now();
    assert.equal((await patient).text, "begun whole");
    const waited = performance.now() - since;
    assert.ok(waited < 2500, `${waited} ms`);
    assert.equal((await slow.body()).whole, false);
    assert.equal(app.connections, 1);
    assert.equal((await ask(gateway.port, { target: "/next" })).text, "begun whole");
  });
});

Deno.test("fastcgi: a shared connection that nobody uses is closed", async () => {
  await withApp(echo, { values: CAN }, async ({ gateway, app }) => {
    await ask(gateway.port, { target: "/1" });
    await pause(400);
    await ask(gateway.port, { target: "/2" });
    assert.equal(app.connections, 2);
  }, "idleTimeout: 100ms");
});
