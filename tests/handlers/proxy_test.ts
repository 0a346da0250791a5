/**
 * proxy: what goes to an origin and what comes back, against origins that do as a test says. Real origins
 * have a file of their own (proxy_origins_test.ts), and so have WebSockets.
 */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { freePort, tempFolder } from "../support/peers.ts";
import { type RawApplication, type RawOrigin, serveRaw } from "../upstreams/raw_origin.ts";
import { linesOf } from "./contract.ts";

type Fields = Readonly<Record<string, unknown>>;

interface Setting {
  /** Of the proxy. */
  readonly fields?: Fields;
  /** Of the route. */
  readonly route?: Fields;
  readonly server?: Fields;
  /** Behind the origin's address. */
  readonly prefix?: string;
}

const HELLO = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

function tableOf(to: unknown, { fields = {}, route = {}, server = {} }: Setting = {}): string {
  const routes = [{ path: "/app/*", proxy: { to, ...fields }, ...route }];
  const own = Object.entries({ accessLog: "json", ...server })
    .map(([key, value]) => `  ${key}: ${JSON.stringify(value)}\n`);
  return `server:\n${own.join("")}routes: ${JSON.stringify(routes)}\n`;
}

/** A gateway before an origin of our own. */
async function withOrigin(
  application: RawApplication,
  body: (gateway: TestGateway, origin: RawOrigin) => Promise<void>,
  setting: Setting = {},
): Promise<void> {
  await using origin = serveRaw(application);
  const table = tableOf(origin.url + (setting.prefix ?? ""), setting);
  await withGateway(table, (gateway) => body(gateway, origin));
}

const hello: RawApplication = (_request, reply) => reply.write(HELLO);

async function failuresOf(gateway: TestGateway): Promise<(string | undefined)[]> {
  return (await linesOf(gateway.log())).map(({ failure }) => failure);
}

Deno.test("proxy: the raw target goes through, and the connection is kept", async () => {
  await withOrigin(hello, async ({ port }, origin) => {
    const targets = ["/app/a%2Fb?x=%zz&", "/app/%7Eu;v=1", "/app?", "/app/\xc3\xa9"];
    for (const target of targets) {
      assert.equal((await ask(port, { target })).text, "hello", target);
    }
    assert.deepEqual(
      origin.requests.map(({ line }) => line),
      targets.map((target) => `GET ${target} HTTP/1.1`),
    );
    assert.equal(origin.connections, 1);
  });
});

Deno.test("proxy: a target with dot segments goes out as what it comes to", async () => {
  await withOrigin(hello, async ({ port }, origin) => {
    await ask(port, { target: "/x/../app/%2e%2e/app//a b".replace(" ", "%20") + "?q" });
    assert.equal(origin.requests[0]?.line, "GET /base/app/a%20b?q HTTP/1.1");
  }, { prefix: "/base/" });
});

Deno.test("proxy: stripPrefix cuts what stands before the final /*", async () => {
  await withOrigin(hello, async ({ port }, origin) => {
    for (const target of ["/app", "/app?q", "/app/", "/%61pp/x%2Fy/?q=/app"]) {
      await ask(port, { target });
    }
    assert.deepEqual(origin.requests.map(({ line }) => line.split(" ")[1]), [
      "/",
      "/?q",
      "/",
      "/x%2Fy/?q=/app",
    ]);
    assert.deepEqual(origin.requests[0]?.all("x-forwarded-prefix"), ["/app"]);
  }, { fields: { stripPrefix: true } });
});

Deno.test("proxy: stripPrefix without a final /* is refused when the route is opened", async () => {
  const routes = [{ path: "/a", proxy: { to: "http://127.0.0.1:1", stripPrefix: true } }];
  await assert.rejects(
    withGateway(`routes: ${JSON.stringify(routes)}\n`, () => Promise.resolve()),
    /Cannot strip a prefix: the path \/a has no final \/\*$/,
  );
});

Deno.test("proxy: fields go through but for those that end here (RFC 9110 section 7.6.1)", async () => {
  await withOrigin(hello, async ({ port }, origin) => {
    const headers: [string, string][] = [
      ["Connection", "close, X-Hop"],
      ["X-Hop", "no"],
      ["Keep-Alive", "timeout=1"],
      ["TE", "trailers"],
      ["Proxy-Authorization", "Basic eA=="],
      ["Proxy", "http://evil"],
      ["X_Forwarded_For", "6.6.6.6"],
      ["X.Odd", "no"],
      ["Upgrade", "h2c"],
      ["Authorization", "Bearer t"],
      ["X-Multi", "one"],
      ["X-Multi", "two"],
      ["X-Latin", "caf\xe9"],
      ["Via", "1.0 front"],
    ];
    await ask(port, { target: "/app/", headers });
    const head = origin.requests[0]?.head.split("\r\n").slice(1) ?? [];
    assert.deepEqual(head, [
      `host: 127.0.0.1:${origin.port}`,
      "authorization: Bearer t",
      "x-latin: caf\xe9",
      "x-multi: one, two",
      `forwarded: for=127.0.0.1;host=127.0.0.1;proto=http`,
      "x-forwarded-for: 127.0.0.1",
      "x-forwarded-proto: http",
      "x-forwarded-host: 127.0.0.1",
      "via: 1.0 front, 1.1 portico",
    ]);
  });
});

Deno.test("proxy: forged forwarding fields never reach the origin", async () => {
  await withOrigin(hello, async ({ port }, origin) => {
    const headers = {
      "Forwarded": "for=6.6.6.6",
      "X-Forwarded-For": "6.6.6.6",
      "X-Forwarded-Port": "666",
      "X-Real-IP": "6.6.6.6",
      "X-Forwarded-Prefix": "/evil",
    };
    await ask(port, { target: "/app/", headers });
    assert.doesNotMatch(origin.requests[0]?.head ?? "", /666|6\.6|evil|real-ip/);
  });
});

Deno.test("proxy: what a trusted front says of the client is told on", async () => {
  await withOrigin(hello, async ({ port }, origin) => {
    const headers = {
      "X-Forwarded-For": "2001:db8::1, 127.0.0.1",
      "X-Forwarded-Proto": "https",
      "X-Forwarded-Host": "shop.example:8443",
    };
    await ask(port, { target: "/app/", headers });
    const [request] = origin.requests;
    assert.deepEqual(request?.all("forwarded"), [
      'for="[2001:db8::1]";host="shop.example:8443";proto=https',
    ]);
    assert.deepEqual(request?.all("x-forwarded-for"), ["2001:db8::1"]);
    assert.deepEqual(request?.all("x-forwarded-proto"), ["https"]);
    assert.deepEqual(request?.all("host"), ["shop.example:8443"]);
  }, { fields: { preserveHost: true }, server: { trustedProxies: ["127.0.0.0/8"] } });
});

Deno.test("proxy: a body with a length keeps it, one without goes in chunks", async () => {
  await withOrigin(async (request, reply) => {
    const body = await request.body();
    await reply.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  }, async ({ port }, origin) => {
    const sized = await ask(port, { method: "POST", target: "/app/", body: "12345" });
    using client = await Client.connect(port);
    await client.write(
      "POST /app/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" +
        "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
    );
    const chunked = await client.answer();
    const none = await ask(port, { method: "POST", target: "/app/" });
    assert.deepEqual([sized.text, chunked.text, none.text], ["12345", "abcdefg", ""]);
    const lengths = origin.requests.map((request) => request.all("content-length"));
    assert.deepEqual(lengths, [["5"], [], ["0"]]);
    assert.equal(origin.connections, 1, "each was at its end");
  });
});

Deno.test("proxy: interim answers are skipped, redirects are not followed", async () => {
  await withOrigin(
    (_request, reply) =>
      reply.write(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
          "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" +
          "Content-Length: 0\r\n\r\n",
      ),
    async ({ port }) => {
      const answer = await ask(port, { target: "/app/" });
      assert.equal(answer.status, 302);
      assert.equal(answer.get("location"), "/elsewhere");
      assert.deepEqual(answer.all("set-cookie"), ["a=1", "b=2"]);
      assert.equal(answer.get("link"), undefined);
    },
  );
});

Deno.test("proxy: a Location of the origin's own address becomes the client's", async () => {
  let location = "";
  await withOrigin(
    (_request, reply) =>
      reply.write(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`),
    async ({ port }, origin) => {
      const rows = [
        [`${origin.url}/base/login?x`, "/app/login?x"],
        [`HTTP${origin.url.slice(4)}/base`, "/app"],
        [`${origin.url}/other`, `${origin.url}/other`],
        [`${origin.url}0/base/x`, `${origin.url}0/base/x`],
        ["/base/login", "/base/login"],
        ["https://example.org/", "https://example.org/"],
      ];
      for (const [from = "", to] of rows) {
        location = from;
        assert.equal((await ask(port, { target: "/app/" })).get("location"), to);
      }
    },
    { prefix: "/base", fields: { stripPrefix: true } },
  );
});

Deno.test("proxy: answers without a body leave the connection usable", async () => {
  const replies = [
    "HTTP/1.1 204 No Content\r\n\r\n",
    'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 7\r\n\r\n',
    "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    HELLO,
  ];
  await withOrigin(
    (_request, reply) => reply.write(replies.shift() ?? ""),
    async ({ port }, origin) => {
      const methods = ["GET", "GET", "HEAD", "HEAD", "GET"];
      const answers = [];
      for (const method of methods) {
        using client = await Client.send(port, { method, target: "/app/" });
        const head = await client.head();
        answers.push([head.status, head.get("content-length")]);
      }
      assert.deepEqual(answers, [
        [204, undefined],
        [304, undefined],
        [200, "12345"],
        [200, undefined],
        [200, "5"],
      ]);
      assert.equal(origin.connections, 1);
    },
  );
});

/** A reply and what becomes of it: a status and a failure, or the body that the client gets. */
const HOSTILE: Readonly<Record<string, readonly [reply: string, outcome: string]>> = {
  "both lengths": [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "502 length-and-chunks http_protocol_error",
  ],
  "two lengths": [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "502 duplicate-field http_protocol_error",
  ],
  "the same length twice": [
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhello",
    "200 hello",
  ],
  "a signed length": [
    "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "502 bad-content-length http_protocol_error",
  ],
  "a foreign coding": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "502 transfer-encoding http_response_transfer_coding",
  ],
  "chunked twice": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "502 transfer-encoding http_response_transfer_coding",
  ],
  "chunks in HTTP/1.0": [
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "502 transfer-encoding http_response_transfer_coding",
  ],
  "a negative chunk": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
    "502 bad-chunk http_response_transfer_coding",
  ],
  "a huge chunk size": [
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${"f".repeat(14)}\r\n`,
    "502 bad-chunk http_response_transfer_coding",
  ],
  "a chunk longer than its size": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
    "502 bad-chunk http_response_transfer_coding",
  ],
  "a bare line feed in chunks": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "502 bad-chunk http_response_transfer_coding",
  ],
  "extensions and trailers": [
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5 ;a="b"\r\nhello\r\n0\r\nX-T: 1\r\n\r\n',
    "200 hello",
  ],
  "a folded field": [
    "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
    "502 bad-field http_protocol_error",
  ],
  "a blank before the colon": [
    "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
    "502 bad-field http_protocol_error",
  ],
  "a bare line feed in a field": [
    "HTTP/1.1 200 OK\r\nX-A: b\nSet-Cookie: x=1\r\nContent-Length: 5\r\n\r\nhello",
    "502 bad-field http_protocol_error",
  ],
  "a bare carriage return": [
    "HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 5\r\n\r\nhello",
    "502 bad-field http_protocol_error",
  ],
  "a control character": [
    "HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 5\r\n\r\nhello",
    "502 bad-field http_protocol_error",
  ],
  "a NUL": [
    "HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 5\r\n\r\nhello",
    "502 bad-field http_protocol_error",
  ],
  "a field without a name": [
    "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
    "502 bad-field http_protocol_error",
  ],
  "a huge head": [
    `HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(70_000)}\r\n\r\n`,
    "502 head-too-large http_response_header_section_size",
  ],
  "endless interim answers": [
    "HTTP/1.1 100 Continue\r\n\r\n".repeat(4000),
    "502 head-too-large http_response_header_section_size",
  ],
  "another protocol": ["SSH-2.0-OpenSSH_9\r\n", "502 no-head http_protocol_error"],
  "HTTP/2": ["HTTP/2 200\r\n\r\n", "502 no-head http_protocol_error"],
  "a status of four digits": ["HTTP/1.1 2000 OK\r\n\r\n", "502 no-head http_protocol_error"],
  "a status above 599": ["HTTP/1.1 600 X\r\n\r\n", "502 bad-status http_protocol_error"],
  "a switch that nobody asked for": [
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "502 bad-status http_protocol_error",
  ],
  "nothing at all": ["", "502 no-output connection_terminated"],
  "half a head": ["HTTP/1.1 200 OK\r\nX-A", "502 head-cut http_response_incomplete"],
  "an empty reason": ["HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", "200 hello"],
  "no reason": ["HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", "200 hello"],
  "the connection's end as the body's": ["HTTP/1.0 200 OK\r\n\r\nhello", "200 hello"],
  "more than was promised": [`${HELLO}HTTP/1.1 200 OK\r\n\r\nevil`, "200 hello"],
  "a length past what is exact": [
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "502 bad-content-length http_protocol_error",
  ],
};

for (const [what, [text, outcome]] of Object.entries(HOSTILE)) {
  Deno.test(`proxy: ${what}: ${outcome}`, async () => {
    await withOrigin(async (_request, reply) => {
      await reply.write(text);
      reply.close();
    }, async (gateway) => {
      const answer = await ask(gateway.port, { target: "/app/" });
      const [failure] = await failuresOf(gateway);
      const error = answer.get("proxy-status")?.replace("portico; error=", "");
      const found = answer.status === 200
        ? `200 ${answer.text}`
        : `${answer.status} ${failure} ${error}`;
      assert.equal(found, outcome);
      assert.doesNotMatch(answer.text, /evil|127\.0\.0\.1/);
    });
  });
}

Deno.test("proxy: a response that is cut short is cut short for the client", async () => {
  const cut = [
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
  ];
  for (const text of cut) {
    await withOrigin(async (_request, reply) => {
      await reply.write(text);
      // So that the head is on its way before the end comes.
      await new Promise((resolve) => setTimeout(resolve, 50));
      reply.close();
    }, async (gateway) => {
      using client = await Client.send(gateway.port, { target: "/app/" });
      const answer = await client.answer();
      assert.deepEqual([answer.status, answer.text, answer.whole], [200, "hello", false]);
      assert.deepEqual(await failuresOf(gateway), ["reply-cut"]);
    });
  }
});

Deno.test("proxy: what follows a response never answers the next request", async () => {
  await withOrigin(
    ({ turn, connection }, reply) => {
      const evil = connection === 1 && turn === 1 ? HELLO.replace("hello", "evil!") : "";
      return reply.write(HELLO + evil);
    },
    async ({ port }, origin) => {
      for (let count = 0; count < 3; count++) {
        assert.equal((await ask(port, { target: "/app/" })).text, "hello");
      }
      assert.equal(origin.connections, 2);
    },
  );
});

Deno.test("proxy: an answer in mid-upload is delivered", async () => {
  await withOrigin(async (_request, reply) => {
    await reply.write(
      "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!",
    );
    await reply.closed();
  }, async ({ port }) => {
    using client = await Client.connect(port);
    await client.write("POST /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    await client.write("x".repeat(100_000));
    const answer = await client.answer();
    assert.deepEqual([answer.status, answer.text], [413, "no!"]);
  });
});

Deno.test("proxy: a request on a connection that had just been closed goes out again", async () => {
  let dropped = 0;
  await withOrigin(async ({ turn }, reply) => {
    if (turn > 1) {
      dropped++;
      return reply.close();
    }
    await reply.write(HELLO);
  }, async ({ port }, origin) => {
    for (let count = 0; count < 4; count++) {
      assert.equal((await ask(port, { target: "/app/" })).text, "hello");
    }
    assert.deepEqual([origin.connections, dropped], [4, 3]);
  });
});

Deno.test("proxy: a POST is never sent twice", async () => {
  await withOrigin(async (request, reply) => {
    await request.body();
    if (request.turn > 1) return reply.close();
    await reply.write(HELLO);
  }, async (gateway, origin) => {
    const post = { method: "POST", target: "/app/", body: "pay" };
    assert.equal((await ask(gateway.port, post)).status, 200);
    assert.equal((await ask(gateway.port, post)).status, 502);
    assert.equal(origin.requests.length, 2);
    assert.deepEqual(await failuresOf(gateway), ["no-output"]);
  });
});

Deno.test("proxy: a connection that the origin closed while it rested is not used", async () => {
  await withOrigin(async (_request, reply) => {
    await reply.write(HELLO);
    reply.close();
  }, async (gateway, origin) => {
    for (let count = 0; count < 5; count++) {
      const answer = await ask(gateway.port, { method: "POST", target: "/app/", body: "x" });
      assert.equal(answer.status, 200);
    }
    assert.deepEqual([origin.connections, await failuresOf(gateway)], [5, []]);
  });
});

Deno.test("proxy: nobody there is a 502, another origin serves, one that is a backup comes last", async () => {
  await using one = serveRaw(hello);
  await using spare = serveRaw((_request, reply) => reply.write(HELLO.replace("hello", "spare")));
  const gone = `http://127.0.0.1:${freePort()}`;
  await withGateway(tableOf(gone), async (gateway) => {
    const answer = await ask(gateway.port, { target: "/app/" });
    assert.equal(answer.status, 502);
    assert.equal(answer.get("proxy-status"), "portico; error=connection_refused");
    assert.deepEqual(await failuresOf(gateway), ["connect-refused"]);
  });
  const list = [gone, one.url, { address: spare.url, backup: true }];
  await withGateway(tableOf(list), async (gateway) => {
    const texts = new Set<string>();
    for (let count = 0; count < 10; count++) {
      texts.add((await ask(gateway.port, { target: "/app/" })).text);
    }
    assert.deepEqual([...texts], ["hello"]);
  });
  await withGateway(tableOf([gone, { address: spare.url, backup: true }]), async (gateway) => {
    assert.equal((await ask(gateway.port, { target: "/app/" })).text, "spare");
  });
});

Deno.test("proxy: no more connections than allowed, and a line that is bounded", async () => {
  const held: (() => Promise<void>)[] = [];
  await withOrigin(async (_request, reply) => {
    await new Promise<void>((resolve) =>
      held.push(async () => (await reply.write(HELLO), resolve()))
    );
  }, async ({ port }, origin) => {
    const first = ask(port, { target: "/app/1" });
    await eventually(() => held.length === 1);
    const second = ask(port, { target: "/app/2" });
    // The second waits by now; the third finds the line full.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const third = await ask(port, { target: "/app/3" });
    assert.deepEqual([third.status, third.get("retry-after")], [503, "1"]);
    assert.equal(third.get("proxy-status"), "portico; error=connection_limit_reached");
    await held[0]?.();
    await eventually(() => held.length === 2);
    await held[1]?.();
    assert.deepEqual([(await first).status, (await second).status], [200, 200]);
    assert.equal(origin.connections, 1);
  }, { fields: { pool: { max: 1, queue: 1 } } });
});

Deno.test("proxy: time runs out", async () => {
  await withOrigin((_request, reply) => reply.closed(), async (gateway, origin) => {
    const answer = await ask(gateway.port, { target: "/app/" });
    assert.equal(answer.status, 504);
    assert.equal(answer.get("proxy-status"), "portico; error=http_response_timeout");
    assert.equal(origin.connections, 1);
  }, { fields: { timeout: "100ms" } });
});

Deno.test("proxy: a client that leaves takes its request with it", async () => {
  let gone = false;
  await withOrigin(async (_request, reply) => {
    await reply.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    await reply.closed();
    gone = true;
  }, async ({ port }) => {
    const client = await Client.send(port, { target: "/app/" });
    await client.head();
    client.close();
    await eventually(() => gone, 2000, "the origin to be let go");
  });
});

Deno.test("proxy: pieces arrive as they are sent", async () => {
  const more = Promise.withResolvers<void>();
  await withOrigin(async (_request, reply) => {
    await reply.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    await reply.write("data: 1\n\n");
    await more.promise;
    await reply.write("data: 2\n\n");
    reply.close();
  }, async ({ port }) => {
    using client = await Client.send(port, { target: "/app/" });
    await client.head();
    let text = "";
    while (!text.includes("data: 1\n\n")) text += await client.some() ?? assert.fail("it ended");
    more.resolve();
    for (let piece = await client.some(); piece !== undefined; piece = await client.some()) {
      text += piece;
    }
    assert.match(text, /data: 2\n\n/);
  });
});

Deno.test("proxy: a Unix socket is an origin too", async () => {
  await using folder = await tempFolder();
  await using origin = serveRaw(hello, `${folder.path}/o.sock`);
  await withGateway(tableOf(origin.url), async ({ port }) => {
    assert.equal((await ask(port, { target: "/app/x" })).text, "hello");
    assert.deepEqual(origin.requests[0]?.all("host"), ["localhost"]);
  });
});

Deno.test("proxy: a request that goes in circles ends", async () => {
  const port = freePort();
  const text = tableOf(`http://127.0.0.1:${port}`);
  await withGateway(text, async (gateway) => {
    const relay = Deno.serve({ port, hostname: "127.0.0.1", onListen() {} }, (request) => {
      const { pathname } = new URL(request.url);
      return fetch(gateway.base + pathname, { headers: request.headers });
    });
    const answer = await ask(gateway.port, { target: "/app/" });
    await relay.shutdown();
    assert.equal(answer.status, 508);
    assert.ok((await failuresOf(gateway)).includes("proxy-loop"));
  });
});

Deno.test("proxy: X-Accel-Redirect and its kind stay between origin and gateway", async () => {
  await withOrigin(
    (_request, reply) =>
      reply.write(
        "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /files/a\r\nX-Accel-Buffering: no\r\n" +
          "X-Sendfile: /etc/passwd\r\nContent-Length: 5\r\n\r\nhello",
      ),
    async ({ port }) => {
      const answer = await ask(port, { target: "/app/" });
      assert.equal(answer.text, "hello");
      assert.doesNotMatch(answer.text, /accel|sendfile/i);
    },
  );
});
