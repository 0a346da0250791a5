import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../../lib/errors.ts";
import type { ByteSource, Exchange, HeaderPair, Reply } from "../../lib/exchange.ts";
import { fileReply, type FileReplyOptions } from "../../lib/io/file_reply.ts";
import { formatHttpDate } from "../../lib/protocol/http_date.ts";
import { exchangeOf } from "../support/exchange.ts";
import { tempFolder } from "../support/peers.ts";

const MODIFIED = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
const LAST_MODIFIED = "Fri, 02 Jan 2026 03:04:05 GMT";
const LONG = 1_200_000;

/** A file of these bytes while `body` runs. */
async function withFile(
  content: Uint8Array | string,
  body: (file: TestFile) => void | Promise<void>,
  name = "a.txt",
): Promise<void> {
  await using folder = await tempFolder();
  const path = `${folder.path}/${name}`;
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await Deno.writeFile(path, bytes);
  await Deno.utime(path, MODIFIED, MODIFIED);
  await body(new TestFile(path, Deno.statSync(path)));
}

class TestFile {
  readonly name: string;
  constructor(readonly path: string, readonly info: Deno.FileInfo) {
    this.name = path;
  }

  reply(
    headers: Record<string, string> = {},
    options: FileReplyOptions & { method?: string } = {},
  ): Reply {
    const { method = "GET", ...others } = options;
    const exchange: Exchange = exchangeOf({ method, headers: new Headers(headers) });
    return fileReply(this, exchange, others);
  }

  /** The error that a request gets. */
  fault(headers: Record<string, string>, options: FileReplyOptions = {}): GatewayError {
    try {
      this.reply(headers, options);
    } catch (error) {
      assert.ok(error instanceof GatewayError, String(error));
      return error;
    }
    assert.fail("nothing was thrown");
  }
}

function fieldsOf({ headers }: Reply): Record<string, string> {
  const names = headers.map(([name]) => name.toLowerCase());
  assert.equal(new Set(names).size, names.length, `a field twice: ${names}`);
  return Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]));
}

function isSource(body: Reply["body"]): body is ByteSource {
  return body !== null && !(body instanceof Uint8Array);
}

async function bytesOf({ body }: Reply): Promise<Uint8Array> {
  if (!isSource(body)) return body ?? new Uint8Array(0);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let piece = await body.read(); piece !== undefined; piece = await body.read()) {
    assert.ok(piece.length > 0, "an empty piece");
    pieces.push(piece);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

async function textOf(reply: Reply): Promise<string> {
  return new TextDecoder("latin1").decode(await bytesOf(reply));
}

function noise(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8) * 7) & 0xff);
}

Deno.test("fileReply() sends a short file in one piece, with what describes it", async () => {
  await withFile("hello", async (file) => {
    const reply = file.reply();
    assert.equal(reply.status, 200);
    assert.deepEqual(fieldsOf(reply), {
      "accept-ranges": "bytes",
      "content-length": "5",
      "content-type": "text/plain; charset=utf-8",
      "etag": `"${MODIFIED.getTime().toString(16)}-5"`,
      "last-modified": LAST_MODIFIED,
    });
    assert.ok(reply.body instanceof Uint8Array);
    assert.equal(await textOf(reply), "hello");
  });
});

Deno.test("fileReply() tells the type by the name that is asked for", async () => {
  await withFile("hello", ({ path, info }) => {
    const reply = fileReply({ path, name: "/data/latest.css", info }, exchangeOf());
    assert.equal(fieldsOf(reply)["content-type"], "text/css; charset=utf-8");
  });
});

Deno.test("fileReply() sends an empty file", async () => {
  await withFile("", (file) => {
    const reply = file.reply({ range: "bytes=-5" });
    assert.equal(reply.status, 200);
    assert.equal(fieldsOf(reply)["content-length"], "0");
    assert.deepEqual(reply.body, new Uint8Array(0));
  });
});

Deno.test("fileReply() streams a long file in pieces of 256 KiB at most", async () => {
  const content = noise(LONG);
  await withFile(content, async (file) => {
    const { body, ...head } = file.reply();
    assert.equal(fieldsOf({ ...head, body: null })["content-length"], String(LONG));
    assert.ok(isSource(body));
    const first = await body.read();
    assert.equal(first?.length, 262_144);
    const rest = await bytesOf({ ...head, body });
    assert.deepEqual(Uint8Array.from([...first, ...rest]), content);
    assert.equal(await body.read(), undefined);
  });
});

Deno.test("fileReply() answers HEAD as GET without a body", async () => {
  await withFile("hello", (file) => {
    const head = file.reply({ range: "bytes=0-1" }, { method: "HEAD" });
    assert.equal(head.body, null);
    assert.equal(head.status, 200, "RFC 9110 §14.2: ranges are for GET");
    assert.deepEqual(fieldsOf(head), fieldsOf(file.reply()));
    assert.equal(file.reply({ "if-none-match": "*" }, { method: "HEAD" }).status, 304);
  });
});

Deno.test("fileReply() answers 304 without opening the file", async () => {
  await withFile("hello", async (file) => {
    const { etag = "" } = fieldsOf(file.reply());
    await Deno.remove(file.path);
    for (
      const headers of [{ "if-none-match": `W/${etag}` }, { "if-modified-since": LAST_MODIFIED }]
    ) {
      const reply = file.reply(headers);
      assert.equal(reply.status, 304);
      assert.equal(reply.body, null);
      assert.deepEqual(fieldsOf(reply), { etag, "last-modified": LAST_MODIFIED });
    }
    const gone = file.fault({});
    assert.deepEqual([gone.status, gone.failure], [404, "file-missing"]);
  });
});

Deno.test("fileReply() answers 412 to what is not as the client insists", async () => {
  await withFile("hello", (file) => {
    const rows = [{ "if-match": '"other"' }, {
      "if-unmodified-since": "Thu, 01 Jan 2026 00:00:00 GMT",
    }];
    for (const headers of rows) {
      const { status, failure } = file.fault(headers);
      assert.deepEqual([status, failure], [412, "precondition-failed"]);
    }
  });
});

Deno.test("fileReply() sends one slice as 206", async () => {
  await withFile(noise(LONG), async (file) => {
    const content = noise(LONG);
    const rows: [range: string, start: number, end: number][] = [
      ["bytes=1-3", 1, 4],
      ["bytes=-7", LONG - 7, LONG],
      ["bytes=100-", 100, LONG],
      ["bytes=0-49999, 50000-149999", 0, 150_000],
    ];
    for (const [range, start, end] of rows) {
      const reply = file.reply({ range });
      assert.equal(reply.status, 206);
      const fields = fieldsOf(reply);
      assert.equal(fields["content-range"], `bytes ${start}-${end - 1}/${LONG}`);
      assert.equal(fields["content-length"], String(end - start));
      assert.equal(fields["content-type"], "text/plain; charset=utf-8");
      assert.equal(reply.body instanceof Uint8Array, end - start <= 65_536, range);
      assert.deepEqual(await bytesOf(reply), content.slice(start, end));
    }
  });
});

Deno.test("fileReply() sends several slices as multipart/byteranges", async () => {
  await withFile("0123456789", async (file) => {
    const reply = file.reply({ range: "bytes=8-, 0-1" });
    assert.equal(reply.status, 206);
    const fields = fieldsOf(reply);
    assert.equal(fields["content-range"], undefined, "RFC 9110 §15.3.7.2: not in the head");
    const [, boundary = ""] = /^multipart\/byteranges; boundary=([0-9a-f]{32})$/
      .exec(fields["content-type"] ?? "") ?? [];
    const body = await textOf(reply);
    assert.equal(fields["content-length"], String(body.length));
    const type = "Content-Type: text/plain; charset=utf-8";
    assert.equal(
      body,
      `--${boundary}\r\n${type}\r\nContent-Range: bytes 8-9/10\r\n\r\n89` +
        `\r\n--${boundary}\r\n${type}\r\nContent-Range: bytes 0-1/10\r\n\r\n01` +
        `\r\n--${boundary}--\r\n`,
    );
  });
});

Deno.test("fileReply() sends what any ranges ask for, of a file of any length", async () => {
  const content = noise(LONG);
  const position = fc.nat(LONG + 10);
  const ranges = fc.array(fc.tuple(position, fc.option(position)), { minLength: 1, maxLength: 4 });
  await withFile(content, async (file) => {
    await fc.assert(
      fc.asyncProperty(ranges, async (set) => {
        const range = `bytes=${set.map(([first, last]) => `${first}-${last ?? ""}`).join()}`;
        let reply: Reply;
        try {
          reply = file.reply({ range });
        } catch (error) {
          assert.ok(error instanceof GatewayError && error.status === 416, String(error));
          return;
        }
        const fields = fieldsOf(reply);
        const body = await bytesOf(reply);
        assert.equal(fields["content-length"], String(body.length));
        if (reply.status === 200) return assert.deepEqual(body, content);
        assert.equal(reply.status, 206);
        const one = /^bytes (\d+)-(\d+)\/1200000$/.exec(fields["content-range"] ?? "");
        if (one === null) return assert.match(fields["content-type"] ?? "", /^multipart/);
        assert.deepEqual(body, content.slice(Number(one[1]), Number(one[2]) + 1));
      }),
      { numRuns: 60 },
    );
  });
});

Deno.test("fileReply() answers 416 with the length", async () => {
  await withFile("hello", (file) => {
    const { status, failure, headers } = file.fault({ range: "bytes=5-" });
    assert.deepEqual([status, failure], [416, "range-unsatisfiable"]);
    assert.deepEqual(headers, [["content-range", "bytes */5"]]);
  });
});

Deno.test("fileReply() heeds If-Range", async () => {
  await withFile("hello", (file) => {
    const { etag = "" } = fieldsOf(file.reply());
    const status = (ifRange: string) =>
      file.reply({ range: "bytes=0-0", "if-range": ifRange }).status;
    assert.equal(status(etag), 206);
    assert.equal(status(LAST_MODIFIED), 206);
    assert.equal(status(`W/${etag}`), 200);
    assert.equal(status('"other"'), 200);
    assert.equal(status("Fri, 02 Jan 2026 03:04:06 GMT"), 200);
    // A range past the end is no fault if the client asks for another file than there is.
    assert.equal(file.reply({ range: "bytes=9-", "if-range": '"other"' }).status, 200);
  });
});

Deno.test("fileReply() lets what is given win over what the file tells", async () => {
  const headers: HeaderPair[] = [
    ["Content-Type", "application/pdf"],
    ["ETag", 'W/"mine"'],
    ["Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"],
    ["Content-Length", "99"],
    ["Content-Range", "bytes 0-1/2"],
    ["Cache-Control", "private"],
    ["Set-Cookie", "a=1"],
    ["Set-Cookie", "b=2"],
  ];
  await withFile("hello", (file) => {
    const reply = file.reply({}, { headers });
    assert.deepEqual(reply.headers, [
      ["Cache-Control", "private"],
      ["Set-Cookie", "a=1"],
      ["Set-Cookie", "b=2"],
      ["etag", 'W/"mine"'],
      ["last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"],
      ["accept-ranges", "bytes"],
      ["content-type", "application/pdf"],
      ["content-length", "5"],
    ]);
    const status = (asked: Record<string, string>) => file.reply(asked, { headers }).status;
    assert.equal(status({ "if-none-match": '"mine"' }), 304);
    assert.equal(status({ "if-modified-since": "Thu, 01 Jan 2026 00:00:00 GMT" }), 304);
    assert.equal(status({ range: "bytes=0-0", "if-range": 'W/"mine"' }), 200);
    assert.equal(status({ range: "bytes=0-0" }), 206);
    const none = [...headers, ["Accept-Ranges", "none"]] as HeaderPair[];
    assert.equal(file.reply({ range: "bytes=0-0" }, { headers: none }).status, 200);
  });
});

Deno.test("fileReply() never passes an unreadable Last-Modified for a date", async () => {
  const headers: HeaderPair[] = [["Last-Modified", "lately"]];
  await withFile("hello", (file) => {
    assert.equal(file.reply({ "if-modified-since": LAST_MODIFIED }, { headers }).status, 200);
  });
});

Deno.test("fileReply() sends the whole under any status but 200, and to any write", async () => {
  await withFile("hello", async (file) => {
    const asked = { range: "bytes=0-0", "if-none-match": "*", "if-match": '"other"' };
    for (const options of [{ status: 403 }, { status: 201 }, { method: "POST" }]) {
      const reply = file.reply(asked, options);
      assert.equal(reply.status, options.status ?? 200);
      assert.equal(await textOf(reply), "hello");
    }
  });
});

Deno.test("fileReply() dates no file later than its answer (RFC 9110 §8.8.2.1)", async () => {
  await withFile("hello", async (file) => {
    const future = new Date(Date.now() + 3_600_000);
    await Deno.utime(file.path, future, future);
    const reply = new TestFile(file.path, Deno.statSync(file.path)).reply();
    const told = Date.parse(fieldsOf(reply)["last-modified"] ?? "");
    assert.ok(told <= Date.now(), formatHttpDate(told));
  });
});

Deno.test("fileReply() tells another file by the time to the millisecond", async () => {
  await withFile("hello", async (file) => {
    const { etag: before = "" } = fieldsOf(file.reply());
    const later = new Date(MODIFIED.getTime() + 1);
    await Deno.utime(file.path, later, later);
    const reply = new TestFile(file.path, Deno.statSync(file.path)).reply({ "if-match": "*" });
    assert.notEqual(fieldsOf(reply)["etag"], before);
    assert.equal(fieldsOf(reply)["last-modified"], LAST_MODIFIED);
  });
});

Deno.test("fileReply() speaks of the file it opened, not of the one that had its name", async () => {
  await withFile("hello", async (file) => {
    await Deno.writeTextFile(`${file.path}.new`, "another");
    await Deno.rename(`${file.path}.new`, file.path);
    const reply = file.reply();
    assert.equal(fieldsOf(reply)["content-length"], "7");
    assert.equal(await textOf(reply), "another");
    const { etag = "" } = fieldsOf(reply);
    // As it turns out, the client has this very file.
    const known = file.reply({ "if-none-match": etag });
    assert.deepEqual([known.status, known.body], [304, null]);
    assert.equal(file.fault({ "if-match": '"x"' }).status, 412);
  });
});

Deno.test("fileReply() aborts the body of a file that shrinks", async () => {
  await withFile(noise(LONG), async (file) => {
    const { body } = file.reply();
    assert.ok(isSource(body));
    await body.read();
    await Deno.truncate(file.path, 300_000);
    assert.equal((await body.read())?.length, 300_000 - 262_144);
    await assert.rejects(body.read(), (error) => {
      return error instanceof GatewayError && error.failure === "file-shrank";
    });
  });
});

Deno.test("fileReply() cuts a file that grows at the length it promised", async () => {
  await withFile(noise(LONG), async (file) => {
    const reply = file.reply();
    await Deno.writeFile(file.path, noise(10_000), { append: true });
    assert.equal((await bytesOf(reply)).length, LONG);
  });
});

// The sanitizer of resources sees to it that the file is closed.
Deno.test("fileReply() closes the file when the client leaves", async () => {
  await withFile(noise(LONG), async (file) => {
    const unread = file.reply().body;
    assert.ok(isSource(unread));
    unread.cancel(new Error("gone"));
    const begun = file.reply().body;
    assert.ok(isSource(begun));
    await begun.read();
    begun.cancel(new Error("gone"));
    const reading = file.reply().body;
    assert.ok(isSource(reading));
    const piece = reading.read();
    reading.cancel(new Error("gone"));
    await piece.catch(() => {});
  });
});

Deno.test("fileReply() has closed the file before the client has its last piece", async () => {
  await withFile(noise(LONG), async (file) => {
    const { body } = file.reply({ range: "bytes=0-1099999" });
    assert.ok(isSource(body));
    for (let i = 0; i < 4; i++) assert.equal((await body.read())?.length, 262_144);
    assert.equal((await body.read())?.length, 1_100_000 - 4 * 262_144);
    body.cancel(new Error("gone"));
  });
});
