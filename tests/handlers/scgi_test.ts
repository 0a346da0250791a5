/**
 * SCGI: what the protocol asks of a gateway (S1 to S12), against responders that do as a test says,
 * against Perl's SCGI module and against uWSGI, which speaks it too.
 */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { kinds } from "../support/kinds.ts";
import { ask, Client } from "../support/client.ts";
import { eventually, type TestGateway, TESTS, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { delay } from "../upstreams/closing_probe.ts";
import {
  type ClosingApplication,
  type ClosingCall,
  type ClosingResponder,
  serveClosing,
} from "../upstreams/closing_responder.ts";
import { filling, sha256 } from "../upstreams/play.ts";
import { PERL_SCGI, startPerlScgi, startUwsgi, UWSGI } from "../upstreams/uwsgi_server.ts";
import { linesOf } from "./contract.ts";

type Fields = Readonly<Record<string, unknown>>;

function tableOf(scgi: unknown, route: Fields = {}): string {
  const routes = [{ path: "/app/*", scgi, ...route }];
  return `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`;
}

/** A gateway before a responder of our own, which refuses requests that break the protocol's rules. */
async function withResponder(
  application: ClosingApplication,
  body: (gateway: TestGateway, responder: ClosingResponder) => Promise<void>,
  { fields = {}, route = {} }: { fields?: Fields; route?: Fields } = {},
): Promise<void> {
  await using responder = await serveClosing("scgi", application);
  const table = tableOf({ connect: responder.address, ...fields }, route);
  await withGateway(table, (gateway) => body(gateway, responder));
  assert.deepEqual(responder.faults, []);
}

/** Tells the names of the variables, in order, and the body. */
const telling = async (call: ClosingCall) => {
  const names = [...call.variables].map(([name, value]) => `${name}=${value}`);
  const body = await new Response(call.body).text();
  await call.write(`Status: 200 OK\r\n\r\n${names.slice(0, 2)};${names.length};${body}`);
};

Deno.test("scgi: CONTENT_LENGTH comes first, then SCGI, with and without a body (S4, S5)", async () => {
  await withResponder(telling, async ({ port }) => {
    const without = await ask(port, { target: "/app/" });
    assert.match(without.text, /^CONTENT_LENGTH=0,SCGI=1;\d+;$/);
    const empty = await ask(port, { method: "POST", target: "/app/", body: "" });
    assert.match(empty.text, /^CONTENT_LENGTH=0,SCGI=1;\d+;$/);
    const body = "x".repeat(100_000);
    const long = await ask(port, { method: "POST", target: "/app/", body });
    assert.ok(long.text.startsWith("CONTENT_LENGTH=100000,SCGI=1;"));
    assert.ok(long.text.endsWith(`;${body}`));
  });
});

Deno.test("scgi: env cannot say again what the protocol says (S6)", () => {
  for (const name of ["CONTENT_LENGTH", "SCGI"]) {
    const text = `routes:\n- path: /\n  scgi: {connect: a:1, env: {${name}: 5}}\n`;
    assert.throws(() => parseTable(text, { file: "r.yaml", folder: TESTS }, kinds), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(error.faults.map(({ line, column, message }) => [line, column, message]), [[
        3,
        29,
        "Cannot set CONTENT_LENGTH or SCGI here: the protocol itself says it. Leave it out",
      ]]);
      return true;
    });
  }
});

Deno.test("scgi: no name comes twice, whatever client and table say (S6, S7)", async () => {
  const headers: [string, string][] = [
    ["SCGI", "2"],
    ["X-A", "1"],
    ["X-A", "2"],
    ["X_A", "3"],
    ["Content_Length", "9"],
    ["Cookie", "a"],
    ["Cookie", "b"],
  ];
  // The responder itself refuses a name that comes twice.
  await withResponder(async (call) => {
    const { variables } = call;
    const told = ["SCGI", "HTTP_SCGI", "HTTP_X_A", "HTTP_COOKIE", "SERVER_NAME"]
      .map((name) => variables.get(name));
    await call.write(`Status: 200\n\n${told.join("|")}`);
  }, async ({ port }) => {
    assert.equal((await ask(port, { target: "/app/", headers })).text, "1|2|1, 2|a; b|set");
  }, { fields: { env: { SERVER_NAME: "set" } } });
});

Deno.test("scgi: the body is exactly CONTENT_LENGTH bytes, spooled or streamed (S9)", async () => {
  for (const requestBody of ["spool", "stream"]) {
    await withResponder(telling, async ({ port }) => {
      for (const length of [1, 65_536, 65_537, 2 ** 20 + 1]) {
        const body = "x".repeat(length);
        const { text } = await ask(port, { method: "POST", target: "/app/", body });
        assert.ok(text.startsWith(`CONTENT_LENGTH=${length},`) && text.endsWith(`;${body}`));
      }
    }, { route: { requestBody } });
  }
});

Deno.test("scgi: a Status field and a status line are both understood (S10)", async () => {
  const heads = ["Status: 404 Not Found\n", "HTTP/1.1 404 Not Found\r\n"];
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

Deno.test("scgi: the connection's end ends the reply, a reset breaks it off (S10)", async () => {
  await withResponder(async (call) => {
    await call.write("Status: 200\n\nfirst");
    await delay(50);
    if (call.variables.get("QUERY_STRING") === "reset") return call.reset();
    await call.write("last");
  }, async ({ port }) => {
    const whole = await ask(port, { target: "/app/" });
    assert.deepEqual([whole.text, whole.whole], ["firstlast", true]);
    assert.equal((await ask(port, { target: "/app/?reset" })).whole, false);
  });
});

Deno.test("scgi: a chunked upload is collected for its length (S11)", async () => {
  await withResponder(telling, async ({ port }) => {
    using client = await Client.send(port, {
      method: "POST",
      target: "/app/",
      headers: { "Transfer-Encoding": "chunked" },
    });
    await client.write("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
    assert.match((await client.answer()).text, /^CONTENT_LENGTH=6,SCGI=1;\d+;hello!$/);
  });
});

Deno.test("scgi: a client that leaves closes the connection at once", async () => {
  await withResponder((call) => delay(60_000, call.signal), async (gateway, responder) => {
    const client = await Client.send(gateway.port, { target: "/app/" });
    await eventually(() => responder.running === 1);
    client.close();
    await eventually(() => responder.running === 0, 1000);
  });
});

Deno.test("scgi: a server that closes without a word is a 502", async () => {
  await withResponder(() => {}, async (gateway) => {
    const headers = { "X-Large": "x".repeat(5000) };
    assert.equal((await ask(gateway.port, { target: "/app/", headers })).status, 502);
    const [line] = await linesOf(gateway.log());
    assert.equal(line?.failure, "no-output");
    assert.match(line?.message ?? "", /\(127\.0\.0\.1:\d+ closed the connection\)$/);
  });
});

testWith(
  ["perl", ...PERL_SCGI],
  "SCGI.pm: is told all, and answers (S1, S8, S12)",
  async () => {
    await using perl = await startPerlScgi();
    await withGateway(tableOf(perl.address), async ({ port }) => {
      const body = new TextDecoder("latin1").decode(filling(300_000));
      const sum = filling(300_000).reduce((sum, byte) => sum + byte, 0);
      const request = {
        method: "PUT",
        target: "/app/a%20b?x=1",
        headers: { "X-A": "caf\xc3\xa9" },
      };
      const answer = await ask(port, { ...request, body });
      assert.deepEqual([answer.status, answer.get("x-sum")], [201, String(sum)]);
      const environ = Object.fromEntries(
        answer.text.trim().split("\n").map((line) => {
          return line.split(/=(.*)/s).slice(0, 2);
        }),
      );
      const { REQUEST_METHOD, SCRIPT_NAME, PATH_INFO, QUERY_STRING, HTTP_X_A, SCGI } = environ;
      assert.deepEqual([REQUEST_METHOD, SCRIPT_NAME, PATH_INFO], ["PUT", "/app", "/a b"]);
      assert.deepEqual([QUERY_STRING, HTTP_X_A, SCGI], ["x=1", "caf\xc3\xa9", "1"]);
      assert.equal(environ["CONTENT_LENGTH"], "300000");
      for (let round = 0; round < 5; round++) {
        assert.equal((await ask(port, { target: "/app/" })).status, 201);
      }
    });
  },
);

for (const transport of ["tcp", "unix"] as const) {
  testWith(UWSGI, `uWSGI: speaks SCGI over ${transport} (S12)`, async () => {
    await using uwsgi = await startUwsgi({
      app: "uwsgi_app.py",
      listen: "--scgi-socket",
      transport,
    });
    await withGateway(tableOf(uwsgi.address), async ({ port, base }) => {
      assert.equal(await (await fetch(`${base}/app/hello`)).text(), "Hello, world!\n");
      const body = filling(2 ** 21);
      const text = new TextDecoder("latin1").decode(body);
      const answer = await ask(port, { method: "POST", target: "/app/upload", body: text });
      assert.equal(answer.text, `${body.length} ${await sha256(body)}`);
      const environ = await (await fetch(`${base}/app/environ`)).json();
      assert.deepEqual([environ.SCRIPT_NAME, environ.PATH_INFO], ["/app", "/environ"]);
    });
  });
}
