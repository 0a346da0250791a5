/**
 * The media type of a file by its name's suffix (RFC 9110 §8.3). Text is UTF-8 and says so, except XML,
 * which names its encoding itself: a charset would overrule it (RFC 7303 §3).
 */
import mime from "mime";
import type { ByteString } from "../exchange.ts";

const UNKNOWN = "application/octet-stream";

/** By suffix in lower case, with its dot. Bounded, for names come from disks. */
const known = new Map<string, ByteString>();
const MAX_KNOWN = 1024;
const MAX_SUFFIX = 32;

/** The Content-Type for a file of this name. */
export function mediaTypeOf(name: string): ByteString {
  const dot = name.lastIndexOf(".");
  // The name of a dot-file is no suffix.
  if (dot <= name.lastIndexOf("/") + 1 || name.length - dot > MAX_SUFFIX) return UNKNOWN;
  const suffix = name.slice(dot).toLowerCase();
  const before = known.get(suffix);
  if (before !== undefined) return before;
  const type = withCharset(mime.getType(suffix) ?? UNKNOWN);
  if (known.size < MAX_KNOWN) known.set(suffix, type);
  return type;
}

function withCharset(type: string): ByteString {
  return type.startsWith("text/") && type !== "text/xml" ? `${type}; charset=utf-8` : type;
}
