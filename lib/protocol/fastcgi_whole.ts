/**
 * A reply that came whole in one read, as most do: its records stand in the one usual order, and to look
 * whether they do takes a third of the time of reading them one by one. Any other is the decoder's.
 *
 * Source: FastCGI Specification 1.0; section numbers are its own.
 */
import { byteAt, FCGI_HEADER_LENGTH, FCGI_TYPES, FCGI_VERSION, uint16 } from "./fastcgi.ts";

const { stdout: STDOUT, "end-request": END_REQUEST } = FCGI_TYPES;
const END_LENGTH = 8;

/**
 * The content of STDOUT, where the bytes are one record of it, perhaps the stream's end, and the end of a
 * request that is complete with application status 0. A view of the bytes; undefined: they are not.
 */
export function wholeReply(
  bytes: Uint8Array<ArrayBuffer>,
  id: number,
): Uint8Array<ArrayBuffer> | undefined {
  if (!isRecord(bytes, 0, STDOUT, id)) return undefined;
  const end = FCGI_HEADER_LENGTH + uint16(bytes, 4);
  let at = end + byteAt(bytes, 6);
  // §3.3: an empty record ends the stream; not all applications send it.
  if (isRecord(bytes, at, STDOUT, id) && hasLength(bytes, at, 0)) at += FCGI_HEADER_LENGTH;
  if (bytes.length !== at + FCGI_HEADER_LENGTH + END_LENGTH) return undefined;
  if (!isRecord(bytes, at, END_REQUEST, id) || !hasLength(bytes, at, END_LENGTH)) return undefined;
  // §5.5: appStatus, and FCGI_REQUEST_COMPLETE.
  const from = at + FCGI_HEADER_LENGTH;
  for (let i = from; i < from + 5; i++) if (bytes[i] !== 0) return undefined;
  return bytes.subarray(FCGI_HEADER_LENGTH, end);
}

/** Whether a record of this type and request begins there. */
function isRecord(bytes: Uint8Array, at: number, type: number, id: number): boolean {
  return bytes[at] === FCGI_VERSION && bytes[at + 1] === type && uint16(bytes, at + 2) === id;
}

/** Whether the record has so much content, and no padding. */
function hasLength(bytes: Uint8Array, at: number, length: number): boolean {
  return uint16(bytes, at + 4) === length && bytes[at + 6] === 0;
}
