/**
 * FastCGI 1.0: the records and name-value pairs that both sides speak. `fastcgi_decoder.ts` reads them,
 * `fastcgi_encoder.ts` writes them; the gateway uses one of each, and the responders in `welcome/` and
 * in the tests use the same two facing the other way.
 *
 * Source: FastCGI Specification 1.0; section numbers here and in its two siblings are its own.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteString } from "../exchange.ts";

export const FCGI_VERSION = 1;
export const FCGI_HEADER_LENGTH = 8;
/** The most content that one record can carry (§3.3). */
export const FCGI_MAX_CONTENT = 65_535;
/** The request id of management records (§3.3). */
export const FCGI_NULL_REQUEST_ID = 0;

/** Record types by name and number (§8). */
export const FCGI_TYPES = {
  "begin-request": 1,
  "abort-request": 2,
  "end-request": 3,
  "params": 4,
  "stdin": 5,
  "stdout": 6,
  "stderr": 7,
  "data": 8,
  "get-values": 9,
  "get-values-result": 10,
  "unknown-type": 11,
} as const;

export type FcgiStream = "params" | "stdin" | "stdout" | "stderr" | "data";
export type FcgiValues = "get-values" | "get-values-result";

export type FcgiRole = "responder" | "authorizer" | "filter";
export const FCGI_ROLES: Readonly<Record<FcgiRole, number>> = {
  responder: 1,
  authorizer: 2,
  filter: 3,
};

/** How a request ended, by the protocol's verdict (§5.5). */
export type FcgiProtocolStatus =
  | "request-complete"
  | "cant-mpx-conn"
  | "overloaded"
  | "unknown-role";
export const FCGI_PROTOCOL_STATUSES: readonly FcgiProtocolStatus[] = [
  "request-complete",
  "cant-mpx-conn",
  "overloaded",
  "unknown-role",
];

/**
 * One record. Stream content is a view of the bytes given to the decoder: use or copy it before they
 * change. An empty stream content is the stream's end (§3.3).
 */
export type FcgiRecord =
  | {
    readonly type: "begin-request";
    readonly id: number;
    /** Undefined: a role number that the specification does not know. */
    readonly role: FcgiRole | undefined;
    readonly keepConnection: boolean;
  }
  | { readonly type: "abort-request"; readonly id: number }
  | {
    readonly type: "end-request";
    readonly id: number;
    /** 0 to 2^32 - 1; a CGI program's exit code (§6.2). */
    readonly appStatus: number;
    readonly protocolStatus: FcgiProtocolStatus;
  }
  | { readonly type: FcgiStream; readonly id: number; readonly content: Uint8Array<ArrayBuffer> }
  | { readonly type: FcgiValues; readonly content: Uint8Array<ArrayBuffer> }
  | { readonly type: "unknown-type"; readonly unknownType: number }
  | { readonly type: "unrecognised"; readonly number: number; readonly id: number };

/**
 * Reads name-value pairs (§3.4) out of a complete stream or management record.
 * @throws {ProtocolError} `fcgi-pairs` when the bytes end inside a pair.
 */
export function decodePairs(bytes: Uint8Array): [name: string, value: ByteString][] {
  const pairs: [string, ByteString][] = [];
  let at = 0;
  const length = (): number => {
    const first = byteAt(bytes, at);
    if (first < 128) {
      at += 1;
      return first;
    }
    const long = ((first & 127) * 256 + byteAt(bytes, at + 1)) * 65_536 + uint16(bytes, at + 2);
    at += 4;
    return long;
  };
  while (at < bytes.length) {
    const nameLength = length();
    const valueLength = length();
    if (at + nameLength + valueLength > bytes.length) {
      throw new ProtocolError("fcgi-pairs", "Cannot read name-value pairs: cut inside a pair");
    }
    pairs.push([
      textAt(bytes, at, nameLength),
      textAt(bytes, at + nameLength, valueLength),
    ]);
    at += nameLength + valueLength;
  }
  return pairs;
}

function textAt(bytes: Uint8Array, at: number, length: number): ByteString {
  let text = "";
  for (let i = at; i < at + length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, Math.min(i + 8192, at + length)));
  }
  return text;
}

/** A byte, or 0 past the end: lengths are checked by whoever asks. */
export function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

/** Two bytes, big-endian. */
export function uint16(bytes: Uint8Array, at: number): number {
  return byteAt(bytes, at) * 256 + byteAt(bytes, at + 1);
}
