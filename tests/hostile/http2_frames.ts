/**
 * HTTP/2 by hand (RFC 9113, RFC 7541): frames as a test wants them, right or wrong, and what comes back told
 * in words. Header blocks are written without compression; of what comes back only `:status` is read.
 */

type Bytes = Uint8Array<ArrayBuffer>;

export const TYPES = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;

export const END_STREAM = 1;
export const END_HEADERS = 4;
export const PADDED = 8;
export const PRIORITY = 32;

export const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** A frame as Latin-1 text; `length` lies about its payload. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload = "",
  length = payload.length,
): string {
  const head = [length >> 16, length >> 8, length, type, flags];
  const id = [stream >>> 24, stream >> 16, stream >> 8, stream];
  return String.fromCharCode(...[...head, ...id].map((byte) => byte & 255)) + payload;
}

export function uint32(value: number): string {
  return String.fromCharCode(value >>> 24, value >> 16 & 255, value >> 8 & 255, value & 255);
}

export function setting(id: number, value: number): string {
  return String.fromCharCode(id >> 8, id & 255) + uint32(value);
}

export type Fields = readonly (readonly [name: string, value: string])[];

/** A header block: literal fields without indexing, without Huffman coding. */
export function block(fields: Fields): string {
  return fields.map(([name, value]) => `\0${literal(name)}${literal(value)}`).join("");
}

function literal(text: string): string {
  if (text.length < 127) return String.fromCharCode(text.length) + text;
  let rest = text.length - 127;
  let length = "\x7f";
  for (; rest >= 128; rest >>= 7) length += String.fromCharCode(rest & 127 | 128);
  return length + String.fromCharCode(rest) + text;
}

/** The pseudo-fields of everyday, some of them replaced; undefined leaves one out. */
export function pseudo(
  replaced: Readonly<Record<string, string | undefined>> = {},
): [string, string][] {
  const all = { method: "GET", scheme: "http", authority: "a.test", path: "/x", ...replaced };
  return Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [[`:${name}`, value]]
  );
}

/** A request without a body. */
export function request(stream: number, fields: Fields = pseudo()): string {
  return frame(TYPES.headers, END_HEADERS | END_STREAM, stream, block(fields));
}

/** The head of a request whose body follows. */
export function opening(stream: number, ...fields: Fields): string {
  const all = [...pseudo({ method: "POST" }), ...fields];
  return frame(TYPES.headers, END_HEADERS, stream, block(all));
}

export function data(stream: number, text: string, flags = END_STREAM): string {
  return frame(TYPES.data, flags, stream, text);
}

/** The stream that asks whether the connection still serves. */
const CONTROL = 1001;

/** What a connection begins with; it asks for header blocks that can be read without a table. */
export const GREETING: string = PREFACE + frame(TYPES.settings, 0, 0, setting(1, 0));

const LIMIT_MS = 15_000;

/**
 * Sends bytes; once those of its streams that `answers` names have ended, asks by the control request
 * whether the connection still serves, and reads until that is answered or the connection ends. Tells
 * `STREAM:STATUS`, `STREAM:reset CODE` by stream, then `goaway CODE`, then `+` or `closed`.
 */
export async function converse(socket: Deno.Conn, sends: string, answers: string): Promise<string> {
  const timer = setTimeout(() => closeQuietly(socket), LIMIT_MS);
  const awaited = Array.from(answers.matchAll(/(\d+):/g), ([, stream]) => Number(stream));
  const tale = new Tale();
  const buffer = new Uint8Array(65_536);
  const readUntil = async (isOver: () => boolean) => {
    while (!isOver()) {
      const count = await socket.read(buffer);
      if (count === null) return;
      tale.push(buffer.subarray(0, count));
    }
  };
  const writing = write(socket, sends).catch(() => {});
  try {
    await readUntil(() => awaited.every((stream) => tale.ended.has(stream)));
    await writing;
    await write(socket, request(CONTROL, pseudo({ path: "/control" })));
    await readUntil(() => tale.ended.has(CONTROL));
  } catch {
    // The gateway has ended the connection, or the time limit has.
    await readUntil(() => false).catch(() => {});
  }
  clearTimeout(timer);
  closeQuietly(socket);
  await writing;
  return tale.words;
}

function closeQuietly(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}

async function write(socket: Deno.Conn, text: string): Promise<void> {
  const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}

class Tale {
  #pending: Bytes = new Uint8Array(0);
  readonly #streams = new Map<number, string>();
  #goaway = "";
  #foreign = "";
  readonly ended = new Set<number>();

  push(bytes: Uint8Array): void {
    this.#pending = new Uint8Array([...this.#pending, ...bytes]);
    if (this.#foreign !== "" || this.#pending[0] === 0x48) {
      // HTTP/1: the beginning was not taken for HTTP/2.
      this.#foreign = String.fromCharCode(...this.#pending.subarray(0, 12));
      return;
    }
    while (this.#pending.length >= 9) {
      const view = new DataView(this.#pending.buffer, this.#pending.byteOffset);
      const length = view.getUint32(0) >>> 8;
      if (this.#pending.length < 9 + length) return;
      const stream = view.getUint32(5) & 0x7fffffff;
      this.#take(view.getUint8(3), view.getUint8(4), stream, this.#pending.subarray(9, 9 + length));
      this.#pending = this.#pending.slice(9 + length);
    }
  }

  get words(): string {
    if (this.#foreign !== "") return this.#foreign;
    const streams = [...this.#streams].filter(([stream]) => stream !== CONTROL)
      .sort(([a], [b]) => a - b).map(([stream, what]) => `${stream}:${what}`);
    const served = this.#streams.get(CONTROL) === "200" ? "+" : "closed";
    return [...streams, this.#goaway, served].filter((word) => word !== "").join(" ");
  }

  #take(type: number, flags: number, stream: number, payload: Bytes): void {
    const code = (at: number) => new DataView(payload.buffer, payload.byteOffset).getUint32(at);
    if (type === TYPES.headers) {
      if (!this.#streams.has(stream)) this.#streams.set(stream, statusOf(payload));
    } else if (type === TYPES.reset) {
      const before = this.#streams.get(stream);
      const reset = `reset ${code(0)}`;
      this.#streams.set(stream, before === undefined ? reset : `${before} ${reset}`);
    } else if (type === TYPES.goaway) {
      this.#goaway = `goaway ${code(4)}`;
    }
    const ends = (flags & END_STREAM) !== 0 && (type === TYPES.data || type === TYPES.headers);
    if (ends || type === TYPES.reset) this.ended.add(stream);
  }
}

/** RFC 7541, appendix A: the indexes of `:status`, from 8 on. */
const STATUSES = [200, 204, 206, 304, 400, 404, 500];
/** Appendix B: digits, by the bits of their codes. */
const DIGITS = [
  ["00000", "0"],
  ["00001", "1"],
  ["00010", "2"],
  ["011001", "3"],
  ["011010", "4"],
  ["011011", "5"],
  ["011100", "6"],
  ["011101", "7"],
  ["011110", "8"],
  ["011111", "9"],
] as const;

/** The first field of a response's header block, whose table we asked to be empty. */
function statusOf(payload: Bytes): string {
  let at = 0;
  // Dynamic table size updates (RFC 7541 section 6.3).
  while (((payload[at] ?? 0) & 0xe0) === 0x20) at++;
  const first = payload[at] ?? 0;
  if ((first & 0x80) !== 0) return String(STATUSES[(first & 0x7f) - 8] ?? `index ${first}`);
  const length = payload[at + 1] ?? 0;
  const value = payload.subarray(at + 2, at + 2 + (length & 0x7f));
  if ((length & 0x80) === 0) return String.fromCharCode(...value);
  let bits = Array.from(value, (byte) => byte.toString(2).padStart(8, "0")).join("");
  let text = "";
  while (text.length < 3) {
    const [code, digit] = DIGITS.find(([code]) => bits.startsWith(code)) ?? ["", "?"];
    text += digit;
    bits = bits.slice(code.length);
  }
  return text;
}
