/**
 * The uwsgi protocol: a packet of variables, and the body raw behind it. The reply is a CGI or HTTP reply
 * that ends with the connection, and is read as those are.
 *
 * A packet is `modifier1 (u8) datasize (u16le) modifier2 (u8)`, then `size (u16le) name size (u16le)
 * value` for each variable; `datasize` counts the variables alone. All sizes have 16 bits: what does not
 * fit is refused by name, for a cut one would be another request.
 *
 * Source: "The uwsgi (lowercase 'u') Protocol" of the uWSGI documentation.
 */
import { GatewayError, ProtocolError } from "../errors.ts";
import type { ByteString } from "../exchange.ts";
import { ByteWriter } from "./byte_writer.ts";
import { latin1FromBytes } from "./latin1.ts";

const HEADER_LENGTH = 4;
/** Bytes that the variables of a packet may take together, names, values and their sizes. */
export const UWSGI_MAX_VARS = 65_535;

export interface UwsgiOptions {
  /** What the packet is for: 0 a WSGI request, 5 PSGI, 9 CGI, 14 PHP. */
  readonly modifier1: number;
  readonly modifier2: number;
  /** Names the scheme in UWSGI_SCHEME, which uWSGI goes by. */
  readonly namesScheme: boolean;
}

/**
 * Writes requests: {@link begin}, then variables by {@link set} or, already encoded, by {@link append};
 * {@link end}, then the body's first bytes, if any, by {@link append}; {@link take}.
 */
export class UwsgiEncoder {
  readonly #options: UwsgiOptions;
  readonly #out = new ByteWriter();

  constructor(options: UwsgiOptions) {
    this.#options = options;
  }

  /** Opens a packet; the body's length, if there is a body, is its first variable. */
  begin(contentLength: number | undefined, scheme: string): void {
    this.#out.take();
    this.#out.skip(HEADER_LENGTH);
    if (contentLength !== undefined) this.set("CONTENT_LENGTH", String(contentLength));
    if (this.#options.namesScheme) this.set("UWSGI_SCHEME", scheme);
  }

  set(name: string, value: ByteString): void {
    if (name.length > UWSGI_MAX_VARS || value.length > UWSGI_MAX_VARS) {
      throw tooLarge(`${name} alone has ${value.length} bytes`);
    }
    this.#out.sizedText(name);
    this.#out.sizedText(value);
  }

  append(bytes: Uint8Array): void {
    this.#out.append(bytes);
  }

  /**
   * Closes the packet.
   * @throws {GatewayError} 502 `uwsgi-too-large`, naming the largest variable.
   */
  end(): void {
    const size = this.#out.length - HEADER_LENGTH;
    if (size > UWSGI_MAX_VARS) {
      const [name, length] = largestOf(this.#out.view(HEADER_LENGTH));
      throw tooLarge(`they take ${size}, of which ${name} has ${length}`);
    }
    const { modifier1, modifier2 } = this.#options;
    this.#out.patch(0, [modifier1, size & 255, size >> 8, modifier2]);
  }

  /** What was written since {@link begin}; valid until the next write. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#out.take();
  }
}

function tooLarge(what: string): GatewayError {
  const message = `Cannot send the request's variables in ${UWSGI_MAX_VARS} bytes: ${what}`;
  return new GatewayError(502, "uwsgi-too-large", message);
}

function largestOf(vars: Uint8Array): [name: string, length: number] {
  let largest: [string, number] = ["", 0];
  for (const [name, value] of decodeUwsgiVars(vars)) {
    if (value.length > largest[1]) largest = [name, value.length];
  }
  return largest;
}

/** A request's head as a server receives it. */
export interface UwsgiRequest {
  readonly modifier1: number;
  readonly modifier2: number;
  /** In order; a name that came twice has its last value. */
  readonly variables: ReadonlyMap<string, ByteString>;
  /** What followed the packet in the last chunk: the beginning of the body, as a view of that chunk. */
  readonly rest: Uint8Array<ArrayBuffer>;
}

/** Reads one request's packet from chunks, of which it keeps none. */
export class UwsgiDecoder {
  readonly #gathered = new ByteWriter();

  /**
   * Takes the next chunk; gives the request once its packet is whole. The decoder is spent then.
   * @throws {ProtocolError} `uwsgi-vars`.
   */
  push(chunk: Uint8Array<ArrayBuffer>): UwsgiRequest | undefined {
    const had = this.#gathered.length;
    this.#gathered.append(chunk);
    const bytes = this.#gathered.view(0);
    if (bytes.length < HEADER_LENGTH) return undefined;
    const [modifier1 = 0, low = 0, high = 0, modifier2 = 0] = bytes;
    const length = HEADER_LENGTH + low + high * 256;
    if (bytes.length < length) return undefined;
    return {
      modifier1,
      modifier2,
      variables: new Map(decodeUwsgiVars(bytes.subarray(HEADER_LENGTH, length))),
      rest: chunk.subarray(length - had),
    };
  }
}

/**
 * Reads the variables of a packet.
 * @throws {ProtocolError} `uwsgi-vars` when one does not end where the packet does.
 */
export function* decodeUwsgiVars(
  bytes: Uint8Array,
): Generator<[name: string, value: ByteString], void, undefined> {
  for (let at = 0; at < bytes.length;) {
    const name = textAt(bytes, at);
    at += 2 + name.length;
    const value = textAt(bytes, at);
    at += 2 + value.length;
    yield [name, value];
  }
}

function textAt(bytes: Uint8Array, at: number): ByteString {
  const [low, high] = bytes.subarray(at, at + 2);
  const end = at + 2 + (low ?? 0) + (high ?? 0) * 256;
  if (high === undefined || end > bytes.length) {
    throw new ProtocolError("uwsgi-vars", `Cannot read a variable: it passes the packet's end`);
  }
  return latin1FromBytes(bytes.subarray(at + 2, end));
}
