/**
 * An HTTP origin that does exactly what a test says, byte by byte. It reads requests by their framing, so
 * that what Portico sends is checked on the way; text is Latin-1 both ways.
 */

/** One request as it came. */
export interface RawRequest {
  /** The whole head, without the blank line. */
  readonly head: string;
  /** The request line. */
  readonly line: string;
  /** All values of a field, in order. */
  all(name: string): string[];
  /** The body, taken out of its framing; read when asked for. */
  body(): Promise<string>;
  /** Which request of its connection this is, from 1. */
  readonly turn: number;
  /** Which connection it came on, from 1. */
  readonly connection: number;
}

/** What a test may do with the connection. */
export interface RawReply {
  write(text: string | Uint8Array): Promise<void>;
  /** Ends the connection in good order. */
  close(): void;
  /** What comes next, as it is; undefined at the end. */
  some(): Promise<string | undefined>;
  /** Waits for the gateway to close its end. */
  closed(): Promise<void>;
}

export type RawApplication = (request: RawRequest, reply: RawReply) => void | Promise<void>;

export interface RawOrigin extends AsyncDisposable {
  /** As routes.yaml writes it. */
  readonly url: string;
  readonly port: number;
  /** Connections so far. */
  readonly connections: number;
  /** Requests so far. */
  readonly requests: readonly RawRequest[];
}

/** Serves until disposed; over a Unix socket if `path` is given. */
export function serveRaw(application: RawApplication, path?: string): RawOrigin {
  const listener: Deno.Listener = path === undefined
    ? Deno.listen({ hostname: "127.0.0.1", port: 0 })
    : Deno.listen({ transport: "unix", path });
  const port = listener.addr.transport === "tcp" ? listener.addr.port : 0;
  const open = new Set<Deno.Conn>();
  const work = new Set<Promise<void>>();
  const requests: RawRequest[] = [];
  let connections = 0;
  const accepting = (async () => {
    for await (const socket of listener) {
      open.add(socket);
      const number = ++connections;
      const serving = serveConnection(socket, number, requests, application)
        .catch(() => {}).finally(() => {
          work.delete(serving);
          open.delete(socket);
          closeQuietly(socket);
        });
      work.add(serving);
    }
  })();
  return {
    url: path === undefined ? `http://127.0.0.1:${port}` : `unix:${path}`,
    port,
    requests,
    get connections() {
      return connections;
    },
    [Symbol.asyncDispose]: async () => {
      listener.close();
      open.forEach(closeQuietly);
      await accepting;
      await Promise.all(work);
    },
  };
}

function closeQuietly(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}

async function serveConnection(
  socket: Deno.Conn,
  connection: number,
  requests: RawRequest[],
  application: RawApplication,
): Promise<void> {
  const input = new Input(socket);
  for (let turn = 1;; turn++) {
    const head = await input.until("\r\n\r\n");
    if (head === undefined) return;
    const [line = "", ...fields] = head.split("\r\n");
    const all = (name: string) =>
      fields.filter((field) => field.toLowerCase().startsWith(`${name}:`))
        .map((field) => field.slice(name.length + 1).trim());
    let body: Promise<string> | undefined;
    const request = {
      head,
      line,
      all,
      turn,
      connection,
      body: () => body ??= readBody(input, all),
    };
    requests.push(request);
    let over = false;
    await application(request, {
      write: async (text) => {
        const bytes = typeof text === "string" ? latin1(text) : text;
        for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
      },
      close: () => {
        over = true;
        closeQuietly(socket);
      },
      some: () => input.some(),
      closed: async () => {
        while (await input.fill());
        over = true;
      },
    });
    if (over) return;
    await request.body();
  }
}

async function readBody(input: Input, all: (name: string) => string[]): Promise<string> {
  const [length = "0"] = all("content-length");
  if (all("transfer-encoding")[0] !== "chunked") return await input.take(Number(length));
  let body = "";
  for (;;) {
    const size = parseInt(await input.until("\r\n") ?? "", 16);
    if (Number.isNaN(size)) throw new Error("The gateway sent a chunk without a size");
    body += await input.take(size);
    await input.until("\r\n");
    if (size === 0) return body;
  }
}

class Input {
  #text = "";
  readonly #buffer = new Uint8Array(65_536);
  constructor(readonly socket: Deno.Conn) {}

  async fill(): Promise<boolean> {
    const count = await this.socket.read(this.#buffer).catch(() => null);
    if (count === null) return false;
    for (const byte of this.#buffer.subarray(0, count)) this.#text += String.fromCharCode(byte);
    return true;
  }

  /** What stands before `mark`, which is taken too; undefined at the end. */
  async until(mark: string): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf(mark);
      if (end !== -1) {
        const text = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + mark.length);
        return text;
      }
      if (!await this.fill()) return undefined;
    }
  }

  async some(): Promise<string | undefined> {
    if (this.#text === "" && !await this.fill()) return undefined;
    const text = this.#text;
    this.#text = "";
    return text;
  }

  async take(length: number): Promise<string> {
    while (this.#text.length < length) {
      if (!await this.fill()) throw new Error("The gateway closed before the body was whole");
    }
    const text = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return text;
  }
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
