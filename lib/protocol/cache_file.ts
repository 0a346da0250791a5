/**
 * A stored reply as a file: its body, then its head as JSON, then a footer of fixed length that tells how
 * long both are and what they add up to (CRC-32). The body comes first because its length is often not
 * known before its end; the footer comes last because a file that breaks off must not have one.
 */
import { crc32 } from "node:zlib";
import * as v from "valibot";
import type { HeaderPair } from "../exchange.ts";
import { isFieldValue, isToken } from "./http_fields.ts";

const pair = v.tuple([v.string(), v.string()]);
/** A control character in a field that is sent ends the whole process. */
const field = v.pipe(pair, v.check(([name, value]) => isToken(name) && isFieldValue(value)));

const head = v.strictObject({
  url: v.string(),
  status: v.pipe(v.number(), v.integer(), v.minValue(200), v.maxValue(599)),
  headers: v.array(field),
  vary: v.array(pair),
  bornAt: v.number(),
  freshUntil: v.number(),
  staleUntil: v.number(),
  errorUntil: v.number(),
  isForAll: v.boolean(),
  tags: v.array(v.string()),
});

/** What is kept of a reply beside its body. Times by Date.now(). */
export interface CacheFileHead {
  readonly url: string;
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  readonly vary: readonly HeaderPair[];
  readonly bornAt: number;
  readonly freshUntil: number;
  readonly staleUntil: number;
  readonly errorUntil: number;
  readonly isForAll: boolean;
  readonly tags: readonly string[];
}

export interface CacheFileBody {
  readonly length: number;
  readonly crc: number;
}

export interface CacheFileFooter {
  readonly body: CacheFileBody;
  readonly headLength: number;
  readonly headCrc: number;
}

/** Changes with the format: files of another one are no copies. */
const MAGIC = 0x506f4331; // PoC1
export const FOOTER_SIZE = 28;
/** No head that the gateway lets through comes near it. */
const MAX_HEAD = 2 ** 20;

/** All that follows the body. */
export function encodeTail(facts: CacheFileHead, body: CacheFileBody): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(facts));
  const bytes = new Uint8Array(text.length + FOOTER_SIZE);
  bytes.set(text);
  const footer = new DataView(bytes.buffer, text.length);
  footer.setUint32(0, text.length);
  footer.setUint32(4, crc32(text));
  footer.setBigUint64(8, BigInt(body.length));
  footer.setUint32(16, body.crc);
  footer.setUint32(20, MAGIC);
  footer.setUint32(24, crc32(bytes.subarray(text.length, text.length + 24)));
  return bytes;
}

/** Reads the footer, the last bytes of a file of `fileSize`; undefined: it is no whole copy. */
export function decodeFooter(bytes: Uint8Array, fileSize: number): CacheFileFooter | undefined {
  if (bytes.length !== FOOTER_SIZE) return undefined;
  const footer = new DataView(bytes.buffer, bytes.byteOffset);
  if (footer.getUint32(20) !== MAGIC) return undefined;
  if (footer.getUint32(24) !== crc32(bytes.subarray(0, 24))) return undefined;
  const headLength = footer.getUint32(0);
  const length = Number(footer.getBigUint64(8));
  if (headLength > MAX_HEAD || length + headLength + FOOTER_SIZE !== fileSize) return undefined;
  return { headLength, headCrc: footer.getUint32(4), body: { length, crc: footer.getUint32(16) } };
}

/** Reads the head; undefined: it is not what was written. */
export function decodeHead(bytes: Uint8Array, footer: CacheFileFooter): CacheFileHead | undefined {
  if (bytes.length !== footer.headLength || crc32(bytes) !== footer.headCrc) return undefined;
  try {
    const read = v.safeParse(head, JSON.parse(new TextDecoder().decode(bytes)));
    return read.success ? read.output : undefined;
  } catch {
    return undefined;
  }
}
