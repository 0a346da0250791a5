/**
 * The FastCGI Specification 1.0 in its own order, each rule that binds a web server proved on the wire:
 * what we send is read byte by byte, what we are sent is written byte by byte. What a table of replies
 * comes to is in fastcgi_records_test.ts; more of processes (§2, §7) in spawn_test.ts, sharing connections in
 * fastcgi_multiplex_test.ts, authorizers in authorize_test.ts, the responder's side in
 * tests/io/fastcgi_responder_test.ts.
 */
import assert from "node:assert/strict";
import { decodePairs, FCGI_TYPES } from "../../lib/protocol/fastcgi.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";
import { ask, type Body, Client, type Head, requestText } from "../support/client.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";
import { end, err, joined, out, OUT_END, record } from "../upstreams/raw_fastcgi.ts";
import { linesOf } from "./contract.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const HELLO = out("Content-Type: text/plain\n\nhello");
const GOOD = joined(HELLO, OUT_END, end());

/** A record as it stood on the wire. */
interface Sent {
  readonly version: number;
  readonly type: number;
  readonly id: number;
  readonly length: number;
  readonly padding: number;
  readonly reserved: number;
  readonly content: string;
}

/** One connection of the gateway's, as the application sees it. */
class Line {
  readonly sent: Sent[] = [];
  /** The gateway has closed it. */
  ended = false;
  #bytes: Bytes = new Uint8Array(0);

  constructor(readonly socket: Deno.Conn) {}

  async write(...pieces: readonly Bytes[]): Promise<void> {
    for (const bytes of pieces) {
      for (let at = 0; at < bytes.length;) at += await this.socket.write(bytes.subarray(at));
    }
  }

  /** The next record; undefined at the end. */
  async next(): Promise<Sent | undefined> {
    for (;;) {
      const [version = 0, type = 0, b1 = 0, b0 = 0, l1 = 0, l0 = 0, padding = 0, reserved = 0] =
        this.#bytes;
      const length = l1 * 256 + l0;
      const total = 8 + length + padding;
      if (this.#bytes.length < 8 || this.#bytes.length < total) {
        if (!await this.#fill()) return undefined;
        continue;
      }
      const content = latin1FromBytes(this.#bytes.subarray(8, 8 + length));
      this.#bytes = this.#bytes.slice(total);
      const sent = { version, type, id: b1 * 256 + b0, length, padding, reserved, content };
      this.sent.push(sent);
      return sent;
    }
  }

  /** Reads up to the record that ends STDIN, and gives the request. */
  async request(): Promise<Sent[] | undefined> {
    const from = this.sent.length;
    for (let sent = await this.next(); sent !== undefined; sent = await this.next()) {
      if (sent.type === FCGI_TYPES.stdin && sent.length === 0) return this.sent.slice(from);
    }
    return undefined;
  }

  async #fill(): Promise<boolean> {
    const buffer = new Uint8Array(65_536);
    const count = await this.socket.read(buffer).catch(() => null);
    if (count === null) {
      this.ended = true;
      return false;
    }
    this.#bytes = joined(this.#bytes, buffer.subarray(0, count));
    return true;
  }
}

interface Scene {
  readonly gateway: TestGateway;
  /** Connections in the order in which they came. */
  readonly lines: readonly Line[];
  ask(request?: { method?: string; body?: string; target?: string }): Promise<Head & Body>;
  /** Notices and failures in the log. */
  log(): Promise<string>;
}

/** An application that handles each connection as it says; by default it answers what it is asked. */
type Application = (line: Line, index: number) => Promise<void>;

const answering: (reply?: Bytes) => Application = (reply = GOOD) => async (line) => {
  while (await line.request() !== undefined) await line.write(reply);
};

async function withApplication(
  application: Application,
  body: (scene: Scene) => Promise<void>,
  fields: Readonly<Record<string, unknown>> = {},
  route: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await using folder = await tempFolder();
  const path = `${folder.path}/s`;
  const listener = Deno.listen({ transport: "unix", path });
  const lines: Line[] = [];
  const running: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const socket of listener) {
      const line = new Line(socket);
      running.push(application(line, lines.push(line) - 1).catch(() => {}));
    }
  })();
  const routes = [{ path: "/*", fastcgi: { connect: `unix:${path}`, ...fields }, ...route }];
  const table = `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`;
  try {
    await withGateway(table, async (gateway) => {
      await body({
        gateway,
        lines,
        ask: (request = {}) => ask(gateway.port, { target: "/", ...request }),
        log: async () => JSON.stringify(await linesOf(gateway.log())),
      });
    });
  } finally {
    listener.close();
    await accepting;
    await Promise.all(running);
    for (const { socket } of lines) close(socket);
  }
}

function close(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The variables of a request. */
function paramsOf(request: readonly Sent[]): Map<string, string> {
  const text = streamOf(request, FCGI_TYPES.params);
  return new Map(decodePairs(Uint8Array.from(text, (char) => char.charCodeAt(0))));
}

function streamOf(request: readonly Sent[], type: number): string {
  return request.filter((sent) => sent.type === type).map(({ content }) => content).join("");
}

/** Answers with what it finds itself to be; says goodbye when it is told to end. */
const PROCESS = `import os, signal, socket, stat, struct, sys
def goodbye(*_):
    open(sys.argv[1], "w").write("SIGTERM"); os._exit(0)
signal.signal(signal.SIGTERM, goodbye)
kind = "socket" if stat.S_ISSOCK(os.fstat(0).st_mode) else "other"
listening = socket.socket(fileno=0)
def record(kind, text): return struct.pack(">BBHHBB", 1, kind, 1, len(text), 0, 0) + text
while True:
    connection, _ = listening.accept()
    if not connection.recv(65536):
        connection.close(); continue
    text = "Content-Type: text/plain\\n\\n%s %d" % (kind, listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    connection.sendall(record(6, text.encode()) + record(6, b"") + record(3, bytes(8)))
    connection.close()
`;

testWith(
  ["python3"],
  "FastCGI §2.2, §7: an application that is started has its listening socket as descriptor 0, and is ended by SIGTERM",
  async () => {
    await using folder = await tempFolder();
    const { path } = folder;
    await Deno.writeTextFile(`${path}/app.py`, PROCESS);
    const spawn = { command: ["python3", `${path}/app.py`, `${path}/mark`], listen: "inherit" };
    const routes = JSON.stringify([{ path: "/*", fastcgi: { spawn } }]);
    await withGateway(`routes: ${routes}\n`, async ({ port }) => {
      assert.equal((await ask(port, { target: "/" })).text, "socket 1");
    });
    assert.equal(await Deno.readTextFile(`${path}/mark`), "SIGTERM");
  },
);

Deno.test("FastCGI §3.3: every record has version 1, a content of at most 65535 bytes, reserved 0", async () => {
  await withApplication(answering(), async ({ ask, lines }) => {
    await ask({ method: "POST", body: "x".repeat(200_000) });
    for (const { version, length, reserved, padding } of lines[0]?.sent ?? assert.fail()) {
      assert.deepEqual([version, reserved], [1, 0]);
      assert.ok(length <= 65_535 && padding <= 255);
    }
  });
});

Deno.test("FastCGI §3.3: another version closes the connection and is a 502", async () => {
  await withApplication(answering(record(6, "x", { version: 2 })), async ({ ask, lines, log }) => {
    assert.equal((await ask()).status, 502);
    assert.match(await log(), /fcgi-version/);
    await eventually(() => lines[0]?.ended === true);
  });
});

Deno.test("FastCGI §3.3: padding is skipped behind any record, however the bytes are cut", async () => {
  const reply = joined(
    out("Content-Type: text/plain\n\nhel", { padding: 255 }),
    out("lo", { padding: 1 }),
    record(FCGI_TYPES.stderr, "e\n", { padding: 7 }),
    out("", { padding: 8 }),
    record(FCGI_TYPES["end-request"], "\0\0\0\0\0\0\0\0", { padding: 200 }),
  );
  for (const size of [1, 3, 8, 9, 64, 4096]) {
    const application: Application = async (line) => {
      while (await line.request() !== undefined) {
        for (let at = 0; at < reply.length; at += size) {
          await line.write(reply.subarray(at, at + size));
          if (at % 16 === 0) await pause(0);
        }
      }
    };
    await withApplication(application, async ({ ask, lines }) => {
      for (let round = 0; round < 2; round++) assert.equal((await ask()).text, "hello");
      // Only when its padding has come as well is END_REQUEST whole, and the connection of use.
      if (size === 4096) assert.equal(lines.length, 1);
    });
  }
});

Deno.test("FastCGI §3.3: records of an application have an id that is not 0; ids are small and used again", async () => {
  await withApplication(answering(), async ({ ask, lines }) => {
    await ask();
    await ask();
    assert.equal(lines.length, 1);
    assert.ok(lines[0]?.sent.every(({ id }) => id === 1));
  });
});

Deno.test("FastCGI §3.3: records of a request that is not active are skipped, and told to the log", async () => {
  const reply = joined(out("X: evil\n\n", { id: 9 }), GOOD);
  await withApplication(answering(reply), async ({ ask, log }) => {
    const answer = await ask();
    assert.deepEqual([answer.text, answer.get("x")], ["hello", undefined]);
    assert.match(await log(), /for request 9: skipped/);
  });
});

Deno.test("FastCGI §3.3: a stream is its records that are not empty, and one that is", async () => {
  await withApplication(answering(), async ({ ask, lines }) => {
    await ask({ method: "POST", body: "some" });
    for (const type of [FCGI_TYPES.params, FCGI_TYPES.stdin]) {
      const lengths = lines[0]?.sent.filter((sent) => sent.type === type).map(({ length }) =>
        length
      );
      assert.equal(lengths?.at(-1), 0);
      assert.equal(lengths?.filter((length) => length === 0).length, 1);
    }
  });
});

Deno.test("FastCGI §3.3: the value of a stream does not depend on its records", async () => {
  const text = "Content-Type: text/plain\nX-A: b\n\nhello";
  for (const size of [1, 2, 7, 30]) {
    const records: Bytes[] = [];
    for (let at = 0; at < text.length; at += size) records.push(out(text.slice(at, at + size)));
    await withApplication(answering(joined(...records, OUT_END, end())), async ({ ask }) => {
      const answer = await ask();
      assert.deepEqual([answer.text, answer.get("x-a")], ["hello", "b"]);
    });
  }
});

Deno.test("FastCGI §3.4: lengths to 127 take a byte, longer ones four, of names and of values", async () => {
  const env: Record<string, string> = {};
  for (const length of [1, 127, 128, 255, 300]) {
    env["N".repeat(length)] = "v";
    env[`V${length}`] = "v".repeat(length);
  }
  await withApplication(answering(), async ({ ask, lines }) => {
    await ask();
    const text = streamOf(lines[0]?.sent ?? [], FCGI_TYPES.params);
    assert.ok(text.includes("\x7f\x01" + "N".repeat(127) + "v"));
    assert.ok(text.includes("\x80\0\0\x80\x01" + "N".repeat(128) + "v"));
    assert.ok(text.includes("\x04\x7fV127v"));
    assert.ok(text.includes("\x04\x80\0\0\x80V128v"));
    const params = paramsOf(lines[0]?.sent ?? []);
    for (const [name, value] of Object.entries(env)) assert.equal(params.get(name), value);
  }, { env });
});

Deno.test("FastCGI §3.4: PARAMS past 65535 bytes goes on in further records, pairs cut where they may be", async () => {
  const env = { BIG: "x".repeat(70_000), HUGE: "y".repeat(150_000) };
  await withApplication(answering(), async ({ ask, lines }) => {
    await ask();
    const request = lines[0]?.sent ?? [];
    const lengths = request.filter(({ type }) => type === FCGI_TYPES.params).map((one) =>
      one.length
    );
    assert.deepEqual(lengths.slice(0, 3), [65_535, 65_535, 65_535]);
    assert.equal(paramsOf(request).get("HUGE"), env.HUGE);
    assert.equal(paramsOf(request).get("REQUEST_METHOD"), "GET");
  }, { env });
});

Deno.test("FastCGI §3.5, §5.1: END_REQUEST ends a reply; nobody need close for that", async () => {
  await withApplication(answering(), async ({ ask, lines }) => {
    assert.ok((await ask()).whole);
    assert.equal(lines[0]?.ended, false);
    // FCGI_KEEP_CONN: the connection is ours to close, and is not while a request is active.
    assert.equal(lines[0]?.sent[0]?.content, "\0\x01\x01\0\0\0\0\0");
    await eventually(() => lines[0]?.ended === true);
  }, { pool: { idleTimeout: "50ms" } });
});

Deno.test("FastCGI §3.5: without FCGI_KEEP_CONN every request has its connection", async () => {
  await withApplication(answering(), async ({ ask, lines }) => {
    for (let round = 0; round < 3; round++) assert.equal((await ask()).text, "hello");
    assert.equal(lines.length, 3);
    assert.ok(lines.every(({ sent }) => sent[0]?.content === "\0\x01\0\0\0\0\0\0"));
  }, { pool: { keepAlive: false } });
});

Deno.test("FastCGI §3.5: a kept connection that was closed meanwhile costs nobody an answer", async () => {
  const application: Application = async (line, index) => {
    await line.request();
    await line.write(GOOD);
    if (index > 0) return await answering()(line, index);
    await line.request();
    close(line.socket);
  };
  await withApplication(application, async ({ ask, lines }) => {
    await ask();
    assert.equal((await ask()).text, "hello");
    assert.equal(lines.length, 2);
  });
});

Deno.test("FastCGI §3.5: a POST is sent again only if nothing of it can have been read", async () => {
  const posts: string[] = [];
  const application: Application = async (line, index) => {
    for (let round = 0;; round++) {
      const request = await line.request();
      if (request === undefined) return;
      if (paramsOf(request).get("REQUEST_METHOD") === "POST") posts.push(`${index}`);
      if (round > 0) return close(line.socket);
      await line.write(GOOD);
    }
  };
  await withApplication(application, async ({ ask }) => {
    await ask();
    assert.equal((await ask({ method: "POST", body: "pay" })).status, 502);
    assert.deepEqual(posts, ["0"]);
  });
});

Deno.test("FastCGI §3.5: bytes behind END_REQUEST are dropped, and the connection is used no more", async () => {
  await withApplication(answering(joined(GOOD, out("evil"))), async ({ ask, lines }) => {
    for (let round = 0; round < 3; round++) assert.equal((await ask()).text, "hello");
    assert.equal(lines.length, 3);
  });
});

Deno.test("FastCGI §3.5: a request that was aborted leaves no connection behind for another", async () => {
  const application: Application = async (line) => {
    await line.request();
    await line.write(HELLO);
    while (await line.next() !== undefined);
  };
  await withApplication(application, async ({ gateway, lines }) => {
    for (let round = 0; round < 2; round++) {
      const client = await Client.send(gateway.port, { target: "/" });
      await client.head();
      client.close();
      await eventually(() => lines[round]?.ended === true);
    }
    assert.equal(lines.length, 2);
  });
});

Deno.test("FastCGI §4: management records may come at any time; answers to no question are no fault", async () => {
  const values = record(FCGI_TYPES["get-values-result"], "\x0f\x01FCGI_MPXS_CONNS0", { id: 0 });
  const unknown = record(FCGI_TYPES["unknown-type"], "\x63\0\0\0\0\0\0\0", { id: 0 });
  const reply = joined(values, HELLO, unknown, OUT_END, end());
  await withApplication(answering(reply), async ({ ask, lines, log }) => {
    for (let round = 0; round < 2; round++) assert.equal((await ask()).text, "hello");
    assert.equal(lines.length, 1);
    assert.equal(await log(), "[]");
  });
});

Deno.test("FastCGI §4.1: GET_VALUES goes out with id 0, empty values, and only where it was asked for", async () => {
  const application: Application = async (line) => {
    const first = await line.next();
    assert.deepEqual([first?.type, first?.id], [FCGI_TYPES["get-values"], 0]);
    const names = decodePairs(Uint8Array.from(first?.content ?? "", (char) => char.charCodeAt(0)));
    assert.deepEqual(names, [
      ["FCGI_MAX_CONNS", ""],
      ["FCGI_MAX_REQS", ""],
      ["FCGI_MPXS_CONNS", ""],
    ]);
    // PHP tells this much and no more.
    await line.write(
      record(FCGI_TYPES["get-values-result"], "\x0f\x01FCGI_MPXS_CONNS0", { id: 0 }),
    );
    await answering()(line, 0);
  };
  await withApplication(application, async ({ ask, lines }) => {
    assert.equal((await ask()).text, "hello");
    // The connection that answered serves.
    assert.equal(lines.length, 1);
  }, { pool: { multiplex: true } });
});

Deno.test("FastCGI §4.2: UNKNOWN_TYPE and a closed connection are answers to GET_VALUES, too", async () => {
  const unknown = record(FCGI_TYPES["unknown-type"], "\x09\0\0\0\0\0\0\0", { id: 0 });
  for (const closes of [false, true]) {
    const application: Application = async (line, index) => {
      if (index === 0) {
        await line.next();
        if (closes) return close(line.socket);
        await line.write(unknown);
      }
      await answering()(line, index);
    };
    await withApplication(application, async ({ ask, lines }) => {
      assert.equal((await ask()).text, "hello");
      assert.equal(lines.length, closes ? 2 : 1);
    }, { pool: { multiplex: true } });
  }
});

Deno.test("FastCGI §5.1: BEGIN_REQUEST has the role in two bytes, the flags, and five reserved zeros", async () => {
  for (const [role, number] of [["responder", 1], ["authorizer", 2]] as const) {
    await withApplication(answering(), async ({ ask, lines }) => {
      await ask();
      const [begin] = lines[0]?.sent ?? [];
      assert.equal(begin?.type, FCGI_TYPES["begin-request"]);
      assert.equal(begin?.content, `\0${String.fromCharCode(number)}\x01\0\0\0\0\0`);
    }, { role });
  }
});

Deno.test("FastCGI §5.2, §6.1: BEGIN_REQUEST, PARAMS, its end, STDIN, its end; also without a body", async () => {
  const { "begin-request": begin, params, stdin } = FCGI_TYPES;
  await withApplication(answering(), async ({ ask, lines }) => {
    await ask();
    await ask({ method: "POST", body: "body" });
    assert.deepEqual(lines[0]?.sent.map(({ type }) => type), [
      ...[begin, params, params, stdin],
      ...[begin, params, params, stdin, stdin],
    ]);
    // §6.1: values hold no NUL and end with none.
    const values = [...paramsOf(lines[0]?.sent.slice(0, 4) ?? []).values()];
    assert.ok(values.length > 10 && values.every((value) => !value.includes("\0")));
  });
});

Deno.test("FastCGI §5.3: STDOUT and STDERR may come in any mixture; STDERR may be missing or empty", async () => {
  const reply = joined(
    err("a\n"),
    out("Content-Type: "),
    err("b"),
    out("text/plain\n\nhel"),
    err("c\n"),
    out("lo"),
    err(""),
    OUT_END,
    end(),
  );
  await withApplication(answering(reply), async ({ ask, gateway }) => {
    assert.equal((await ask()).text, "hello");
    const lines = await linesOf(gateway.log());
    assert.deepEqual(lines.map(({ message }) => message), ["a", "bc"]);
  });
});

Deno.test("FastCGI §5.3: a reply may begin, and go on, before STDIN has ended (full duplex)", async () => {
  const application: Application = async (line) => {
    await line.write(out("Content-Type: text/plain\n\n"));
    for (let sent = await line.next(); sent !== undefined; sent = await line.next()) {
      if (sent.type !== FCGI_TYPES.stdin) continue;
      if (sent.length === 0) return await line.write(OUT_END, end());
      await line.write(out(sent.content.toUpperCase()));
    }
  };
  await withApplication(
    application,
    async ({ gateway }) => {
      using client = await Client.connect(gateway.port);
      const head = requestText({ method: "POST", target: "/" }).replace(
        "\r\n\r\n",
        "\r\nTransfer-Encoding: chunked\r\n\r\n",
      );
      await client.write(`${head}3\r\nabc\r\n`);
      await client.head();
      for (let text = ""; !text.includes("ABC");) text += await client.some() ?? assert.fail();
      await client.write("3\r\ndef\r\n0\r\n\r\n");
      for (let text = ""; !text.includes("DEF");) text += await client.some() ?? assert.fail();
    },
    {},
    { requestBody: "stream" },
  );
});

Deno.test("FastCGI §5.3, §6.2: an application may end the request without having read its input", async () => {
  const application: Application = async (line) => {
    for (let sent = await line.next(); sent !== undefined; sent = await line.next()) {
      if (sent.type === FCGI_TYPES.params && sent.length === 0) break;
    }
    await line.write(joined(out("Status: 413\n\ntoo much"), OUT_END, end()));
    await pause(300);
  };
  await withApplication(application, async ({ ask }) => {
    const answer = await ask({ method: "POST", body: "x".repeat(4 * 2 ** 20) });
    assert.deepEqual([answer.status, answer.text, answer.whole], [413, "too much", true]);
  });
});

Deno.test("FastCGI §5.4: ABORT_REQUEST goes out when the client leaves, and the connection is closed", async () => {
  const application: Application = async (line) => {
    await line.request();
    await line.write(HELLO);
    while (await line.next() !== undefined);
  };
  await withApplication(application, async ({ gateway, lines }) => {
    const client = await Client.send(gateway.port, { target: "/" });
    await client.head();
    client.close();
    await eventually(() => lines[0]?.ended === true);
    const last = lines[0]?.sent.at(-1);
    assert.deepEqual([last?.type, last?.id, last?.length], [FCGI_TYPES["abort-request"], 1, 0]);
  });
});

const VERDICTS = [
  ["overloaded", 503, "fcgi-overloaded"],
  ["cant-mpx-conn", 502, "fcgi-cant-mpx"],
  ["unknown-role", 502, "fcgi-unknown-role"],
  ["request-complete", 502, "no-output"],
] as const;

for (const [verdict, status, failure] of VERDICTS) {
  Deno.test(`FastCGI §5.5: ${verdict} without a word of output is a ${status}`, async () => {
    await withApplication(answering(end(0, verdict)), async ({ ask, log }) => {
      const answer = await ask();
      assert.equal(answer.status, status);
      assert.equal(answer.get("retry-after"), status === 503 ? "1" : undefined);
      assert.match(await log(), new RegExp(failure));
    });
  });
}

Deno.test("FastCGI §5.5: a protocolStatus that is none is a 502", async () => {
  const reply = joined(HELLO, record(3, "\0\0\0\0\x09\0\0\0"));
  await withApplication(answering(reply), async ({ ask, log }) => {
    assert.equal((await ask()).status, 502);
    assert.match(await log(), /unknown protocolStatus 9/);
  });
});

Deno.test("FastCGI §5.5, §6.2: appStatus is a program's exit code: told to the log, all four bytes of it", async () => {
  for (const status of [1, 9, 255, 0xffff_ffff]) {
    await withApplication(answering(joined(HELLO, OUT_END, end(status))), async ({ ask, log }) => {
      assert.equal((await ask()).text, "hello");
      assert.match(await log(), new RegExp(`application status ${status}"`));
    });
  }
});

Deno.test("FastCGI §5.5: a connection that ends without END_REQUEST has cut the reply off", async () => {
  const application: Application = async (line) => {
    await line.request();
    await line.write(HELLO);
    close(line.socket);
  };
  await withApplication(application, async ({ ask, log }) => {
    const answer = await ask();
    assert.deepEqual([answer.status, answer.whole], [200, false]);
    assert.match(await log(), /reply-cut/);
  });
});

Deno.test("FastCGI §5.5: the end of STDOUT ends the body; who never sends END_REQUEST is not used again", async () => {
  await withApplication(answering(joined(HELLO, OUT_END)), async ({ ask, lines }) => {
    const since = performance.now();
    const answer = await ask();
    assert.deepEqual([answer.text, answer.whole], ["hello", true]);
    assert.ok(performance.now() - since < 500, "nobody waits for END_REQUEST");
    await eventually(() => lines[0]?.ended === true);
  });
});

Deno.test("FastCGI §6.2: STDIN has CONTENT_LENGTH bytes; if the client fails, it has no end", async () => {
  const application: Application = async (line, index) => {
    if (index > 0) return await answering()(line, index);
    while (await line.next() !== undefined);
  };
  await withApplication(
    application,
    async ({ gateway, ask, lines }) => {
      const client = await Client.connect(gateway.port);
      const head = requestText({ method: "POST", target: "/", body: "12345" });
      await client.write(head.replace("12345", "123"));
      const stdin = () => streamOf(lines[0]?.sent ?? [], FCGI_TYPES.stdin);
      await eventually(() => stdin() === "123");
      client.close();
      await eventually(() => lines[0]?.ended === true);
      const sent = lines[0]?.sent ?? [];
      assert.ok(!sent.some(({ type, length }) => type === FCGI_TYPES.stdin && length === 0));
      assert.equal(paramsOf(sent).get("CONTENT_LENGTH"), "5");
      assert.equal((await ask({ method: "POST", body: "12345" })).text, "hello");
      assert.equal(streamOf(lines[1]?.sent ?? [], FCGI_TYPES.stdin), "12345");
    },
    {},
    { requestBody: "stream" },
  );
});

Deno.test("FastCGI §6.2: Status and Location are CGI's; NPH there is none", async () => {
  const rows: readonly (readonly [string, number])[] = [
    ["Status: 418 Teapot\n\n", 418],
    ["Location: http://x.example/\n\n", 302],
    ["Content-Type: text/plain\n\n", 200],
    // A status line of HTTP is taken for a Status field.
    ["HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\n", 404],
  ];
  for (const [head, status] of rows) {
    await withApplication(answering(joined(out(head), OUT_END, end())), async ({ ask }) => {
      assert.equal((await ask()).status, status);
    });
  }
});

Deno.test("FastCGI §6.4: a filter cannot be asked for", async () => {
  const open = withApplication(answering(), async () => {}, { role: "filter" });
  await assert.rejects(open, /Cannot read "filter" as a choice: write responder or authorizer/);
});
