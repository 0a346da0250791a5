/**
 * Writes FastCGI records.
 *
 * Strategy: one growing buffer is filled and taken, so that BEGIN_REQUEST, PARAMS and a short STDIN
 * leave in a single write; PARAMS is framed once its length is known and cut only if it must be.
 */
import type { ByteString } from "../exchange.ts";
import {
  byteAt,
  decodePairs,
  FCGI_HEADER_LENGTH,
  FCGI_MAX_CONTENT,
  FCGI_NULL_REQUEST_ID,
  FCGI_PROTOCOL_STATUSES,
  FCGI_ROLES,
  FCGI_TYPES,
  FCGI_VERSION,
  type FcgiProtocolStatus,
  type FcgiRecord,
  type FcgiRole,
  type FcgiStream,
  type FcgiValues,
} from "./fastcgi.ts";
import { writeLatin1 } from "./latin1.ts";

/**
 * Writes records into one growing buffer. {@link take} gives the bytes written so far, valid until the
 * next write, and starts anew. Name-value pairs go between {@link beginParams} and {@link endParams}.
 */
export class FcgiEncoder {
  #bytes = new Uint8Array(2048);
  #end = 0;
  #params = 0;
  #id = 0;

  /** A view of what was written since the last call. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes.subarray(0, this.#end);
    this.#end = 0;
    return bytes;
  }

  beginRequest(id: number, role: FcgiRole, keepConnection: boolean): void {
    this.#header(FCGI_TYPES["begin-request"], id, 8);
    this.#reserve(8);
    const at = this.#end;
    this.#bytes.fill(0, at, at + 8);
    this.#bytes[at + 1] = FCGI_ROLES[role];
    this.#bytes[at + 2] = keepConnection ? 1 : 0;
    this.#end = at + 8;
  }

  abortRequest(id: number): void {
    this.#header(FCGI_TYPES["abort-request"], id, 0);
  }

  endRequest(id: number, appStatus: number, protocolStatus: FcgiProtocolStatus): void {
    this.#header(FCGI_TYPES["end-request"], id, 8);
    this.#reserve(8);
    const at = this.#end;
    this.#bytes.fill(0, at, at + 8);
    this.#uint32(at, appStatus);
    this.#bytes[at + 4] = FCGI_PROTOCOL_STATUSES.indexOf(protocolStatus);
    this.#end = at + 8;
  }

  unknownType(type: number): void {
    this.#header(FCGI_TYPES["unknown-type"], FCGI_NULL_REQUEST_ID, 8);
    this.#reserve(8);
    this.#bytes.fill(0, this.#end, this.#end + 8);
    this.#bytes[this.#end] = type;
    this.#end += 8;
  }

  /** A management record with name-value pairs (§4.1); names alone to ask, with values to answer. */
  values(type: FcgiValues, pairs: Iterable<readonly [string, ByteString]>): void {
    this.#header(FCGI_TYPES[type], FCGI_NULL_REQUEST_ID, 0);
    const start = this.#end;
    for (const [name, value] of pairs) this.pair(name, value);
    this.#patchLength(start - FCGI_HEADER_LENGTH, this.#end - start);
  }

  /** A whole stream content, cut into as many records as it needs; nothing for no bytes. */
  stream(type: FcgiStream, id: number, content: Uint8Array): void {
    for (let at = 0; at < content.length; at += FCGI_MAX_CONTENT) {
      const slice = content.subarray(at, at + FCGI_MAX_CONTENT);
      this.#header(FCGI_TYPES[type], id, slice.length);
      this.append(slice);
    }
  }

  /** The empty record that ends a stream (§3.3). */
  endStream(type: FcgiStream, id: number): void {
    this.#header(FCGI_TYPES[type], id, 0);
  }

  /** Opens PARAMS: pairs follow, by {@link pair} or, already encoded, by {@link append}. */
  beginParams(id: number): void {
    this.#id = id;
    this.#params = this.#end;
    this.#header(FCGI_TYPES["params"], id, 0);
  }

  /** Frames the pairs written since {@link beginParams} and ends the stream. */
  endParams(): void {
    const start = this.#params + FCGI_HEADER_LENGTH;
    const length = this.#end - start;
    if (length > FCGI_MAX_CONTENT) this.#reframe(start, length);
    else if (length > 0) this.#patchLength(this.#params, length);
    else this.#end = this.#params;
    this.endStream("params", this.#id);
  }

  /** One name-value pair (§3.4): lengths to 127 in one byte, longer ones in four. */
  pair(name: string, value: ByteString): void {
    this.#reserve(8 + name.length + value.length);
    this.#length(name.length);
    this.#length(value.length);
    this.#text(name);
    this.#text(value);
  }

  /** {@link pair} under the name that environ walks use: an encoder is an environ sink. */
  set(name: string, value: ByteString): void {
    this.pair(name, value);
  }

  /** Bytes as they are. */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Pairs that outgrew one record become several (PARAMS is a stream: pairs may straddle). */
  #reframe(start: number, length: number): void {
    const pairs = this.#bytes.slice(start, start + length);
    this.#end = this.#params;
    this.stream("params", this.#id, pairs);
  }

  #header(type: number, id: number, length: number): void {
    this.#reserve(FCGI_HEADER_LENGTH);
    const bytes = this.#bytes;
    const at = this.#end;
    bytes[at] = FCGI_VERSION;
    bytes[at + 1] = type;
    bytes[at + 2] = id >> 8;
    bytes[at + 3] = id & 255;
    bytes[at + 4] = length >> 8;
    bytes[at + 5] = length & 255;
    bytes[at + 6] = 0;
    bytes[at + 7] = 0;
    this.#end = at + FCGI_HEADER_LENGTH;
  }

  #patchLength(header: number, length: number): void {
    this.#bytes[header + 4] = length >> 8;
    this.#bytes[header + 5] = length & 255;
  }

  #length(length: number): void {
    if (length < 128) {
      this.#bytes[this.#end++] = length;
      return;
    }
    this.#uint32(this.#end, length);
    this.#bytes[this.#end] = byteAt(this.#bytes, this.#end) | 128;
    this.#end += 4;
  }

  #uint32(at: number, value: number): void {
    this.#bytes[at] = value >>> 24;
    this.#bytes[at + 1] = (value >>> 16) & 255;
    this.#bytes[at + 2] = (value >>> 8) & 255;
    this.#bytes[at + 3] = value & 255;
  }

  #text(text: ByteString): void {
    this.#end = writeLatin1(text, this.#bytes, this.#end);
  }

  #reserve(more: number): void {
    const needed = this.#end + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = grown;
  }
}

/** Encodes one record. An unrecognised one cannot be made, only met. */
export function encodeRecord(record: FcgiRecord): Uint8Array<ArrayBuffer> {
  const encoder = new FcgiEncoder();
  switch (record.type) {
    case "begin-request":
      encoder.beginRequest(record.id, record.role ?? "responder", record.keepConnection);
      break;
    case "abort-request":
      encoder.abortRequest(record.id);
      break;
    case "end-request":
      encoder.endRequest(record.id, record.appStatus, record.protocolStatus);
      break;
    case "unknown-type":
      encoder.unknownType(record.unknownType);
      break;
    case "get-values":
    case "get-values-result":
      encoder.values(record.type, decodePairs(record.content));
      break;
    case "unrecognised":
      throw new TypeError(`Cannot encode a record of unrecognised type ${record.number}`);
    default:
      if (record.content.length === 0) encoder.endStream(record.type, record.id);
      else encoder.stream(record.type, record.id, record.content);
  }
  return encoder.take();
}
