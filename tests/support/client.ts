/**
 * An HTTP/1.1 client that does exactly what a test says, byte by byte, and tells whether an answer was
 * whole: `fetch` can do neither. Text is Latin-1 both ways. Everything ends within a time limit.
 */

/** An answer's head. */
export interface Head {
  readonly status: number;
  /** As it came, without the blank line. */
  readonly text: string;
  /** All values of a field, in order. */
  all(name: string): string[];
  /** The one value of a field. */
  get(name: string): string | undefined;
}

export interface Body {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly text: string;
  /** False: the connection ended before the body did. */
  readonly whole: boolean;
}

const LIMIT_MS = 15_000;

export class Client implements Disposable {
  readonly #socket: Deno.TcpConn;
  readonly #timer: ReturnType<typeof setTimeout>;
  #pending: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #head: Head | undefined;
  #open = true;

  private constructor(socket: Deno.TcpConn) {
    this.#socket = socket;
    this.#timer = setTimeout(() => this.close(), LIMIT_MS);
  }

  static async connect(port: number): Promise<Client> {
    return new Client(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Connects and sends a request; the connection ends with the answer. */
  static async send(port: number, request: RequestText): Promise<Client> {
    const client = await Client.connect(port);
    await client.write(requestText(request));
    return client;
  }

  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? latin1(data) : data;
    for (let at = 0; at < bytes.length;) at += await this.#socket.write(bytes.subarray(at));
  }

  /** Reads the head, of the final answer. */
  async head(): Promise<Head> {
    for (;;) {
      const lines: string[] = [];
      for (let line = await this.#line(); line !== ""; line = await this.#line()) {
        if (line === undefined) throw new Error(`No whole head: ${JSON.stringify(lines)}`);
        lines.push(line);
      }
      const head = parseHead(lines);
      if (head.status >= 200) return this.#head = head;
    }
  }

  /** The next bytes as they come, framing included; undefined at the end. */
  async some(): Promise<string | undefined> {
    if (this.#pending.length === 0 && !await this.#fill()) return undefined;
    return text(this.#take(this.#pending.length));
  }

  /** Reads the body by its framing, to its end or the connection's. */
  async body(): Promise<Body> {
    const head = this.#head ?? await this.head();
    this.#head = undefined;
    const length = head.get("content-length");
    if (head.get("transfer-encoding") === "chunked") return await this.#chunked();
    const bytes = await this.#upTo(length === undefined ? Infinity : Number(length));
    return bodyOf([bytes], length === undefined || bytes.length === Number(length));
  }

  /** Head and body. */
  async answer(): Promise<Head & Body> {
    const head = await this.head();
    return { ...head, ...await this.body(), all: head.all, get: head.get };
  }

  /** True once the peer has closed the connection. */
  async closed(): Promise<boolean> {
    return this.#pending.length === 0 && !await this.#fill();
  }

  /** Hangs up. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearTimeout(this.#timer);
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #chunked(): Promise<Body> {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for (;;) {
      const size = parseInt(await this.#line() ?? "", 16);
      if (Number.isNaN(size)) return bodyOf(pieces, false);
      const piece = await this.#upTo(size);
      pieces.push(piece);
      if (piece.length < size || await this.#line() === undefined) return bodyOf(pieces, false);
      if (size === 0) return bodyOf(pieces, true);
    }
  }

  async #line(): Promise<string | undefined> {
    let end = this.#pending.indexOf(10);
    while (end === -1) {
      if (!await this.#fill()) return undefined;
      end = this.#pending.indexOf(10);
    }
    return text(this.#take(end + 1)).replace(/\r?\n$/, "");
  }

  async #upTo(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for (let missing = length; missing > 0;) {
      if (this.#pending.length === 0 && !await this.#fill()) break;
      const piece = this.#take(Math.min(missing, this.#pending.length));
      pieces.push(piece);
      missing -= piece.length;
    }
    return joined(pieces);
  }

  #take(length: number): Uint8Array<ArrayBuffer> {
    const taken = this.#pending.subarray(0, length);
    this.#pending = this.#pending.subarray(length);
    return taken;
  }

  async #fill(): Promise<boolean> {
    const buffer = new Uint8Array(65_536);
    try {
      const count = await this.#socket.read(buffer);
      if (count === null) return false;
      this.#pending = joined([this.#pending, buffer.subarray(0, count)]);
      return true;
    } catch (error) {
      if (!this.#open) throw new Error(`No end within ${LIMIT_MS} ms`);
      if (error instanceof Deno.errors.ConnectionReset) return false;
      throw error;
    }
  }
}

export interface RequestText {
  /** Default GET. */
  readonly method?: string;
  readonly target: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>> | readonly (readonly [string, string])[];
  /** Sent with its Content-Length. */
  readonly body?: string;
}

/** A request's bytes as Latin-1. */
export function requestText(request: RequestText): string {
  const { method = "GET", target, host = "127.0.0.1", headers = {}, body } = request;
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
  const own = pairs.some(([name]) => name.toLowerCase() === "connection") ? [] : [
    ["Connection", "close"],
  ];
  const sized = body === undefined ? [] : [["Content-Length", String(body.length)]];
  const lines = [["Host", host], ...own, ...pairs, ...sized].map((pair) => pair.join(": "));
  return [`${method} ${target} HTTP/1.1`, ...lines, "", body ?? ""].join("\r\n");
}

/** Sends one request and reads its answer. */
export async function ask(port: number, request: RequestText): Promise<Head & Body> {
  using client = await Client.send(port, request);
  return await client.answer();
}

function parseHead(lines: readonly string[]): Head {
  const [first = "", ...fields] = lines;
  const all = (name: string) =>
    fields.filter((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
      .map((line) => line.slice(name.length + 1).trim());
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1]),
    text: lines.join("\n"),
    all,
    get: (name) => all(name)[0],
  };
}

function bodyOf(pieces: readonly Uint8Array<ArrayBuffer>[], whole: boolean): Body {
  const bytes = joined(pieces);
  return { bytes, text: text(bytes), whole };
}

function joined(pieces: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const only = pieces.length === 2 && pieces[0]?.length === 0 ? pieces[1] : undefined;
  if (only !== undefined) return only;
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function latin1(data: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(data, (char) => char.charCodeAt(0));
}

const LATIN1 = new TextDecoder("latin1");

function text(bytes: Uint8Array): string {
  // "latin1" is windows-1252 to decoders: the controls from 0x80 to 0x9f differ.
  if (bytes.some((byte) => byte >= 0x80 && byte < 0xa0)) {
    return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  }
  return LATIN1.decode(bytes);
}
