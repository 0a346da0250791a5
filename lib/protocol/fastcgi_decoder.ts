/**
 * Reads FastCGI records from bytes as they come, in any cut.
 *
 * Strategy: a stream's value does not depend on how it is cut into records (§3.3), so the content of
 * stream records is handed out in pieces as it arrives, without gathering or copying; only the small
 * fixed bodies (BEGIN_REQUEST, END_REQUEST, …) are gathered.
 */
import { ProtocolError } from "../errors.ts";
import {
  byteAt,
  FCGI_HEADER_LENGTH,
  FCGI_PROTOCOL_STATUSES,
  FCGI_ROLES,
  FCGI_TYPES,
  FCGI_VERSION,
  type FcgiRecord,
  type FcgiRole,
  type FcgiStream,
  uint16,
} from "./fastcgi.ts";

const STREAMS: readonly (FcgiStream | undefined)[] = [
  undefined,
  undefined,
  undefined,
  undefined,
  "params",
  "stdin",
  "stdout",
  "stderr",
  "data",
];
const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);
/** Stands in for type 0, which is nobody's (§8), so that 0 can mean "between records". */
const TYPE_ZERO = 256;

/**
 * Reads records from bytes as they come: `push` a chunk, then call `next` until it answers undefined.
 * Bytes are not copied, so finish with one chunk before pushing the next.
 */
export class FcgiDecoder {
  #chunk: Uint8Array<ArrayBuffer> = NOTHING;
  #at = 0;
  readonly #header = new Uint8Array(FCGI_HEADER_LENGTH);
  #headerLength = 0;
  /** 0 between records. */
  #type = 0;
  #id = 0;
  #content = 0;
  #padding = 0;
  #gathered: number[] = [];

  /** True between two records: the peer may close here without breaking one. */
  get atBorder(): boolean {
    return this.#type === 0 && this.#headerLength === 0 && this.#padding === 0;
  }

  /** True once `next` has used up every byte that was pushed. */
  get drained(): boolean {
    return this.#at === this.#chunk.length;
  }

  push(chunk: Uint8Array<ArrayBuffer>): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The next record, or undefined when the bytes pushed so far are used up.
   * @throws {ProtocolError} `fcgi-version` for another protocol version, `fcgi-record` for a fixed body
   * of the wrong size.
   */
  next(): FcgiRecord | undefined {
    for (;;) {
      if (this.#type === 0 && !this.#readHeader()) return undefined;
      const stream = STREAMS[this.#type];
      const record = stream === undefined ? this.#gather() : this.#piece(stream);
      if (record === undefined) return undefined;
      return record;
    }
  }

  #readHeader(): boolean {
    if (this.#padding > 0 && !this.#skipPadding()) return false;
    const available = this.#chunk.length - this.#at;
    if (this.#headerLength === 0 && available >= FCGI_HEADER_LENGTH) {
      this.#openRecord(this.#chunk, this.#at);
      this.#at += FCGI_HEADER_LENGTH;
      return true;
    }
    const taken = Math.min(available, FCGI_HEADER_LENGTH - this.#headerLength);
    this.#header.set(this.#chunk.subarray(this.#at, this.#at + taken), this.#headerLength);
    this.#at += taken;
    this.#headerLength += taken;
    if (this.#headerLength < FCGI_HEADER_LENGTH) return false;
    this.#headerLength = 0;
    this.#openRecord(this.#header, 0);
    return true;
  }

  #skipPadding(): boolean {
    const skipped = Math.min(this.#padding, this.#chunk.length - this.#at);
    this.#at += skipped;
    this.#padding -= skipped;
    return this.#padding === 0;
  }

  #openRecord(bytes: Uint8Array, at: number): void {
    const version = byteAt(bytes, at);
    if (version !== FCGI_VERSION) {
      throw new ProtocolError(
        "fcgi-version",
        `Cannot read a FastCGI record: version is ${version} where 1 is due`,
      );
    }
    this.#type = byteAt(bytes, at + 1) || TYPE_ZERO;
    this.#id = uint16(bytes, at + 2);
    this.#content = uint16(bytes, at + 4);
    this.#padding = byteAt(bytes, at + 6);
  }

  /** What has arrived of a stream record's content; an empty record ends the stream. */
  #piece(type: FcgiStream): FcgiRecord | undefined {
    if (this.#content === 0) {
      this.#type = 0;
      return { type, id: this.#id, content: NOTHING };
    }
    const length = Math.min(this.#content, this.#chunk.length - this.#at);
    if (length === 0) return undefined;
    const content = this.#chunk.subarray(this.#at, this.#at + length);
    this.#at += length;
    this.#content -= length;
    if (this.#content === 0) this.#type = 0;
    return { type, id: this.#id, content };
  }

  /** A record with a fixed body, once all of it has arrived: read in place if it came in one piece. */
  #gather(): FcgiRecord | undefined {
    const { length } = this.#gathered;
    const missing = this.#content - length;
    const piece = this.#chunk.subarray(this.#at, this.#at + missing);
    this.#at += piece.length;
    if (length === 0 && piece.length === missing) return this.#fixed(piece);
    this.#gathered.push(...piece);
    return piece.length < missing ? undefined : this.#fixed(Uint8Array.from(this.#gathered));
  }

  #fixed(body: Uint8Array<ArrayBuffer>): FcgiRecord {
    const record = readFixed(this.#type, this.#id, body);
    this.#type = 0;
    if (this.#gathered.length > 0) this.#gathered = [];
    return record;
  }
}

/** Reads a record with a fixed body (§4, §5.1, §5.4, §5.5). */
function readFixed(type: number, id: number, body: Uint8Array<ArrayBuffer>): FcgiRecord {
  switch (type) {
    case FCGI_TYPES["begin-request"]:
      requireBody("BEGIN_REQUEST", body);
      return {
        type: "begin-request",
        id,
        role: roleOf(uint16(body, 0)),
        keepConnection: (byteAt(body, 2) & 1) === 1,
      };
    case FCGI_TYPES["abort-request"]:
      return { type: "abort-request", id };
    case FCGI_TYPES["end-request"]: {
      requireBody("END_REQUEST", body);
      const protocolStatus = FCGI_PROTOCOL_STATUSES[byteAt(body, 4)];
      if (protocolStatus === undefined) {
        throw new ProtocolError(
          "fcgi-record",
          `Cannot read END_REQUEST: unknown protocolStatus ${byteAt(body, 4)}`,
        );
      }
      const appStatus = uint16(body, 0) * 65_536 + uint16(body, 2);
      return { type: "end-request", id, appStatus, protocolStatus };
    }
    case FCGI_TYPES["get-values"]:
      return { type: "get-values", content: body };
    case FCGI_TYPES["get-values-result"]:
      return { type: "get-values-result", content: body };
    case FCGI_TYPES["unknown-type"]:
      requireBody("UNKNOWN_TYPE", body);
      return { type: "unknown-type", unknownType: byteAt(body, 0) };
    default:
      return { type: "unrecognised", number: type === TYPE_ZERO ? 0 : type, id };
  }
}

function requireBody(name: string, body: Uint8Array<ArrayBuffer>): void {
  if (body.length < 8) {
    throw new ProtocolError("fcgi-record", `Cannot read ${name}: ${body.length} bytes of 8`);
  }
}

function roleOf(number: number): FcgiRole | undefined {
  if (number === FCGI_ROLES.responder) return "responder";
  if (number === FCGI_ROLES.authorizer) return "authorizer";
  return number === FCGI_ROLES.filter ? "filter" : undefined;
}
