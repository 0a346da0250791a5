/**
 * The FastCGI responder over a real Unix socket, driven record by record with the production codec.
 * Section numbers are the FastCGI Specification's.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { FcgiRecord } from "../../lib/protocol/fastcgi.ts";
import { decodePairs } from "../../lib/protocol/fastcgi.ts";
import { FcgiDecoder } from "../../lib/protocol/fastcgi_decoder.ts";
import { encodeRecord, FcgiEncoder } from "../../lib/protocol/fastcgi_encoder.ts";
import {
  type FcgiApplication,
  type ResponderOptions,
  serveFastcgi,
} from "../../lib/welcome/responder.ts";

const TEXT = new TextDecoder();
const bytes = (text: string) => new TextEncoder().encode(text);

/** A reply as a gateway puts it together. */
interface Reply {
  readonly stdout: string;
  readonly stderr: string;
  readonly appStatus: number;
  readonly protocolStatus: string;
}

/** The gateway's end of a connection. */
class Wire implements Disposable {
  readonly #socket: Deno.Conn;
  readonly #decoder = new FcgiDecoder();
  readonly #buffer = new Uint8Array(65_536);

  constructor(socket: Deno.Conn) {
    this.#socket = socket;
  }

  async send(...parts: Uint8Array[]): Promise<void> {
    for (const part of parts) {
      for (let at = 0; at < part.length;) at += await this.#socket.write(part.subarray(at));
    }
  }

  /** The next record, with its content copied; undefined at the end of the connection. */
  async next(): Promise<FcgiRecord | undefined> {
    for (;;) {
      const record = this.#decoder.next();
      if (record !== undefined) {
        return "content" in record ? { ...record, content: record.content.slice() } : record;
      }
      const count = await this.#socket.read(this.#buffer);
      if (count === null) return undefined;
      this.#decoder.push(this.#buffer.subarray(0, count));
    }
  }

  async reply(id = 1): Promise<Reply> {
    let stdout = "";
    let stderr = "";
    for (;;) {
      const record = await this.next();
      assert(record !== undefined, "the connection ended before END_REQUEST");
      if (record.type === "end-request" && record.id === id) {
        const { appStatus, protocolStatus } = record;
        return { stdout, stderr, appStatus, protocolStatus };
      }
      if (record.type === "stdout") stdout += TEXT.decode(record.content);
      if (record.type === "stderr") stderr += TEXT.decode(record.content);
    }
  }

  [Symbol.dispose](): void {
    try {
      this.#socket.close();
    } catch {
      // Closed already.
    }
  }
}

interface RequestParts {
  readonly id?: number;
  readonly keep?: boolean;
  readonly role?: "responder" | "authorizer" | "filter";
  readonly params?: readonly (readonly [string, string])[];
  /** Undefined: STDIN stays open. */
  readonly body?: string | undefined;
}

/** A whole request's records; one without a body by default. */
function request(parts: RequestParts = {}): Uint8Array<ArrayBuffer> {
  const { id = 1, keep = true, role = "responder", params = [], body = "" } = parts;
  const encoder = new FcgiEncoder();
  encoder.beginRequest(id, role, keep);
  encoder.beginParams(id);
  for (const [name, value] of params) encoder.pair(name, value);
  encoder.endParams();
  encoder.stream("stdin", id, bytes(body));
  if (!("body" in parts) || parts.body !== undefined) encoder.endStream("stdin", id);
  return encoder.take().slice();
}

/** Runs a test against a responder on a socket of its own. */
async function withResponder(
  application: FcgiApplication,
  test: (connect: () => Promise<Wire>) => Promise<void>,
  options?: ResponderOptions,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/app.sock`;
  const responder = serveFastcgi(Deno.listen({ transport: "unix", path }), application, options);
  try {
    await test(async () => new Wire(await Deno.connect({ transport: "unix", path })));
  } finally {
    await responder[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Answers with its parameters and its body. */
const echo: FcgiApplication = async (call) => {
  let body = "";
  for await (const piece of call.stdin) body += TEXT.decode(piece);
  const params = [...call.params].map(([name, value]) => `${name}=${value}\n`).join("");
  await call.writeStdout(`Content-Type: text/plain\r\n\r\n${params}${body}`);
};

const HEAD = "Content-Type: text/plain\r\n\r\n";
const COMPLETE = { stderr: "", appStatus: 0, protocolStatus: "request-complete" };

Deno.test("serveFastcgi() gives the application its parameters and its body", async () => {
  await withResponder(echo, async (connect) => {
    using wire = await connect();
    await wire.send(request({ params: [["A", "1"], ["B", "\u00ff"]], body: "body" }));
    assert.deepEqual(await wire.reply(), { ...COMPLETE, stdout: `${HEAD}A=1\nB=\u00ff\nbody` });
  });
});

Deno.test("serveFastcgi() understands a request however it is cut", async () => {
  await withResponder(echo, async (connect) => {
    using wire = await connect();
    const whole = request({ params: [["NAME", "value"]], body: "body" });
    const cut = fc.array(fc.integer({ min: 1, max: whole.length - 1 }), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(cut, async (places) => {
        const edges = [0, ...places.sort((a, b) => a - b), whole.length];
        for (let i = 1; i < edges.length; i++) {
          await wire.send(whole.subarray(edges[i - 1], edges[i]));
          await new Promise((resolve) => setTimeout(resolve));
        }
        assert.equal((await wire.reply()).stdout, `${HEAD}NAME=value\nbody`);
      }),
      { numRuns: 50 },
    );
  });
});

Deno.test("serveFastcgi() reads PARAMS that many records carry", async () => {
  const long = "x".repeat(200_000);
  const size: FcgiApplication = (call) =>
    call.writeStdout(String(call.params.get("LONG")?.length)).then(() => 0);
  await withResponder(size, async (connect) => {
    using wire = await connect();
    await wire.send(request({ params: [["LONG", long]] }));
    assert.equal((await wire.reply()).stdout, "200000");
  });
});

Deno.test("serveFastcgi() cuts long output into records and keeps its order", async () => {
  const long = Array.from({ length: 40_000 }, (_, i) => `line ${i}\n`).join("");
  await withResponder((call) => call.writeStdout(long), async (connect) => {
    using wire = await connect();
    await wire.send(request());
    assert.equal((await wire.reply()).stdout, long);
  });
});

Deno.test("serveFastcgi() reports the application's status and its error stream", async () => {
  const application: FcgiApplication = async (call) => {
    await Promise.all([call.writeStderr("oh dear\n"), call.writeStdout("out")]);
    return 4_000_000_000;
  };
  await withResponder(application, async (connect) => {
    using wire = await connect();
    await wire.send(request());
    assert.deepEqual(await wire.reply(), {
      ...COMPLETE,
      stdout: "out",
      stderr: "oh dear\n",
      appStatus: 4_000_000_000,
    });
  });
});

Deno.test("serveFastcgi() turns an application's fault into appStatus 1 and words on STDERR", async () => {
  const faults: unknown[] = [];
  const application: FcgiApplication = () => {
    throw new RangeError("no such thing");
  };
  await withResponder(application, async (connect) => {
    using wire = await connect();
    await wire.send(request());
    const reply = await wire.reply();
    assert.equal(reply.appStatus, 1);
    assert.match(reply.stderr, /RangeError: no such thing/);
    assert.equal(faults.length, 1);
  }, { onError: (error) => faults.push(error) });
});

Deno.test("serveFastcgi() keeps the connection when asked to (§3.5)", async () => {
  await withResponder(echo, async (connect) => {
    using wire = await connect();
    for (const body of ["one", "two", "three"]) {
      await wire.send(request({ keep: true, body }));
      assert.equal((await wire.reply()).stdout, HEAD + body);
    }
  });
});

Deno.test("serveFastcgi() closes the connection when not asked to keep it (§3.5)", async () => {
  await withResponder(echo, async (connect) => {
    using wire = await connect();
    await wire.send(request({ keep: false }));
    assert.equal((await wire.reply()).stdout, HEAD);
    assert.equal(await wire.next(), undefined);
  });
});

Deno.test("serveFastcgi() ends a request whose body was not read, and skips the rest of it", async () => {
  await withResponder((call) => call.writeStdout("early"), async (connect) => {
    using wire = await connect();
    await wire.send(request({ body: undefined }));
    assert.equal((await wire.reply()).stdout, "early");
    const rest = new FcgiEncoder();
    rest.stream("stdin", 1, new Uint8Array(1_000_000));
    rest.endStream("stdin", 1);
    await wire.send(rest.take(), request({ id: 2 }));
    assert.equal((await wire.reply(2)).stdout, "early");
  });
});

Deno.test("serveFastcgi() gets its reply out though a body lies unread on a closing connection", async () => {
  await withResponder((call) => call.writeStdout("early"), async (connect) => {
    using wire = await connect();
    await wire.send(request({ keep: false, body: "x".repeat(100_000) }));
    assert.equal((await wire.reply()).stdout, "early");
  });
});

Deno.test("serveFastcgi() holds up the connection while the application does not read", async () => {
  const { promise: read, resolve: startReading } = Promise.withResolvers<void>();
  const application: FcgiApplication = async (call) => {
    await read;
    let size = 0;
    for await (const piece of call.stdin) size += piece.length;
    await call.writeStdout(String(size));
  };
  await withResponder(application, async (connect) => {
    using wire = await connect();
    const size = 8_000_000;
    let sent = false;
    const sending = wire.send(request({ body: "x".repeat(size) })).then(() => sent = true);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(sent, false);
    startReading();
    assert.equal((await wire.reply()).stdout, String(size));
    await sending;
  });
});

Deno.test("serveFastcgi() tells the application of ABORT_REQUEST and then ends it (§5.4)", async () => {
  const { promise: aborted, resolve: noteAbort } = Promise.withResolvers<string>();
  const application: FcgiApplication = async (call) => {
    await call.writeStdout("begun");
    await assert.rejects(async () => {
      for await (const _ of call.stdin);
    });
    await assert.rejects(call.writeStdout("too late"));
    noteAbort(String(call.signal.reason));
    return 7;
  };
  await withResponder(application, async (connect) => {
    using wire = await connect();
    await wire.send(request({ body: undefined }));
    assert.equal((await wire.next())?.type, "stdout");
    await wire.send(encodeRecord({ type: "abort-request", id: 1 }));
    assert.deepEqual(await wire.reply(), { ...COMPLETE, stdout: "", appStatus: 7 });
    assert.match(await aborted, /aborted/);
    await wire.send(request({ id: 2, body: undefined }));
    await wire.send(encodeRecord({ type: "abort-request", id: 2 }));
    assert.equal((await wire.reply(2)).appStatus, 7);
  });
});

Deno.test("serveFastcgi() ends a request aborted before its parameters were whole", async () => {
  let calls = 0;
  await withResponder(() => void calls++, async (connect) => {
    using wire = await connect();
    const encoder = new FcgiEncoder();
    encoder.beginRequest(1, "responder", true);
    encoder.abortRequest(1);
    encoder.endStream("params", 1);
    await wire.send(encoder.take());
    assert.equal((await wire.reply()).protocolStatus, "request-complete");
    assert.equal(calls, 0);
  });
});

Deno.test("serveFastcgi() aborts the request when the gateway leaves", async () => {
  const { promise: left, resolve: noteLeaving } = Promise.withResolvers<void>();
  const application: FcgiApplication = async (call) => {
    await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
    noteLeaving();
  };
  await withResponder(application, async (connect) => {
    const wire = await connect();
    await wire.send(request({ body: undefined }));
    wire[Symbol.dispose]();
    await left;
  });
});

Deno.test("serveFastcgi() answers GET_VALUES with what it knows (§4.1)", async () => {
  await withResponder(echo, async (connect) => {
    using wire = await connect();
    const encoder = new FcgiEncoder();
    encoder.values("get-values", [["FCGI_MPXS_CONNS", ""], ["FCGI_MAX_CONNS", ""], ["OTHER", ""]]);
    await wire.send(encoder.take());
    const record = await wire.next();
    assert(record?.type === "get-values-result");
    assert.deepEqual(decodePairs(record.content), [["FCGI_MAX_CONNS", "3"], [
      "FCGI_MPXS_CONNS",
      "0",
    ]]);
  }, { maxConnections: 3 });
});

Deno.test("serveFastcgi() answers UNKNOWN_TYPE to a management record it does not know (§4.2)", async () => {
  await withResponder(echo, async (connect) => {
    using wire = await connect();
    await wire.send(Uint8Array.of(1, 77, 0, 0, 0, 2, 1, 0, 9, 9, 9));
    assert.deepEqual(await wire.next(), { type: "unknown-type", unknownType: 77 });
    await wire.send(Uint8Array.of(1, 77, 0, 5, 0, 0, 0, 0), request());
    assert.equal((await wire.reply()).stdout, HEAD);
  });
});

Deno.test("serveFastcgi() refuses a role that it does not serve (§5.5)", async () => {
  await withResponder(echo, async (connect) => {
    using wire = await connect();
    for (const role of ["authorizer", "filter"] as const) {
      await wire.send(request({ role }));
      assert.equal((await wire.reply()).protocolStatus, "unknown-role");
    }
    await wire.send(request({ role: "filter", keep: false }));
    assert.equal((await wire.reply()).protocolStatus, "unknown-role");
    assert.equal(await wire.next(), undefined);
  });
});

Deno.test("serveFastcgi() serves the roles it is told to", async () => {
  const application: FcgiApplication = (call) => call.writeStdout(call.role);
  await withResponder(application, async (connect) => {
    using wire = await connect();
    await wire.send(request({ role: "authorizer" }));
    assert.equal((await wire.reply()).stdout, "authorizer");
  }, { roles: ["responder", "authorizer"] });
});

Deno.test("serveFastcgi() refuses a second request on a busy connection (§5.5)", async () => {
  await withResponder(echo, async (connect) => {
    using wire = await connect();
    await wire.send(request({ id: 1, body: undefined }), request({ id: 2, body: "two" }));
    assert.equal((await wire.reply(2)).protocolStatus, "cant-mpx-conn");
    await wire.send(encodeRecord({ type: "stdin", id: 1, content: new Uint8Array(0) }));
    assert.deepEqual(await wire.reply(1), { ...COMPLETE, stdout: HEAD });
  });
});

Deno.test("serveFastcgi() serves several connections at once, up to its limit", async () => {
  await withResponder(echo, async (connect) => {
    using first = await connect();
    using second = await connect();
    using third = await connect();
    await first.send(request({ body: undefined }));
    await third.send(request({ body: "third" }));
    await second.send(request({ body: "second" }));
    assert.equal((await second.reply()).stdout, `${HEAD}second`);
    let served = false;
    const waiting = third.reply().then((reply) => {
      served = true;
      return reply;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(served, false);
    await first.send(encodeRecord({ type: "stdin", id: 1, content: new Uint8Array(0) }));
    await first.reply();
    assert.equal(served, false);
    await first.send(request({ id: 9, keep: false }));
    await first.reply(9);
    first[Symbol.dispose]();
    assert.equal((await waiting).stdout, `${HEAD}third`);
  }, { maxConnections: 2 });
});

for (
  const [fault, failure, bad] of [
    ["PARAMS past the limit", "fcgi-params", request({ params: [["A", "x".repeat(2000)]] })],
    ["PARAMS cut inside a pair", "fcgi-pairs", brokenParams()],
    ["a BEGIN_REQUEST without an id", "fcgi-begin", request({ id: 0 })],
    ["another version of the protocol", "fcgi-version", Uint8Array.of(2, 1, 0, 1, 0, 0, 0, 0)],
  ] as const
) {
  Deno.test(`serveFastcgi() closes a connection over ${fault}, and serves on`, async () => {
    const faults: unknown[] = [];
    await withResponder(echo, async (connect) => {
      using wire = await connect();
      await wire.send(bad);
      assert.equal(await wire.next().catch(() => undefined), undefined);
      assert.deepEqual(faults.map((error) => Reflect.get(Object(error), "failure")), [failure]);
      using other = await connect();
      await other.send(request());
      assert.equal((await other.reply()).stdout, HEAD);
    }, { maxParams: 1000, onError: (error) => faults.push(error) });
  });
}

function brokenParams(): Uint8Array {
  const encoder = new FcgiEncoder();
  encoder.beginRequest(1, "responder", true);
  encoder.stream("params", 1, Uint8Array.of(9, 9, 65));
  encoder.endStream("params", 1);
  return encoder.take().slice();
}

Deno.test("serveFastcgi() lets an application write whatever it likes, and hang up", async () => {
  const application: FcgiApplication = async ({ peer }) => {
    await peer.write(Uint8Array.of(1, 2, 3));
    peer.close();
  };
  await withResponder(application, async (connect) => {
    using wire = await connect();
    await wire.send(request());
    assert.equal(await wire.next().catch(() => undefined), undefined);
  });
});

Deno.test("serveFastcgi() leaves nothing behind when disposed under a running request", async () => {
  const { promise: begun, resolve: noteBegin } = Promise.withResolvers<void>();
  const application: FcgiApplication = async (call) => {
    noteBegin();
    await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
  };
  const folder = await Deno.makeTempDir();
  const path = `${folder}/app.sock`;
  const responder = serveFastcgi(Deno.listen({ transport: "unix", path }), application);
  using wire = new Wire(await Deno.connect({ transport: "unix", path }));
  const sending = wire.send(request({ body: "x".repeat(4_000_000) })).catch(() => {});
  await begun;
  await responder[Symbol.asyncDispose]();
  await sending;
  await responder.finished;
  await Deno.remove(folder, { recursive: true });
});

Deno.test("serveFastcgi() finishes what is under way when retired, and drops what idles", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/app.sock`;
  const responder = serveFastcgi(Deno.listen({ transport: "unix", path }), echo);
  using idle = new Wire(await Deno.connect({ transport: "unix", path }));
  await idle.send(request());
  await idle.reply();
  using busy = new Wire(await Deno.connect({ transport: "unix", path }));
  await busy.send(request({ body: undefined }));
  await new Promise((resolve) => setTimeout(resolve, 20));
  responder.retire();
  assert.equal(await idle.next(), undefined);
  await assert.rejects(Deno.connect({ transport: "unix", path }));
  await busy.send(encodeRecord({ type: "stdin", id: 1, content: new Uint8Array(0) }));
  assert.equal((await busy.reply()).stdout, HEAD);
  assert.equal(await busy.next(), undefined);
  busy[Symbol.dispose]();
  await responder.finished;
  await Deno.remove(folder, { recursive: true });
});
