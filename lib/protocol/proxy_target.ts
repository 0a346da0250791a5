/**
 * Which target an origin gets for a request, and which place a client gets for one that the origin names
 * (RFC 9112 §3.2.1, RFC 9110 §10.2.2).
 *
 * The raw target goes through as the client wrote it, escapes and all: signatures are made over it. Not so
 * one with dot segments or repeated slashes: the route was chosen by what they come to, and behind a prefix
 * the origin would resolve `/prefix/x/../../secret` to what lies outside. It is written anew then.
 */
import { type ByteString, ENCODED_SLASH, type Exchange, type Mount } from "../exchange.ts";
import { encodePath } from "./cgi_path.ts";

export interface TargetOptions {
  /** Stands before every path; `""` or `/path`, encoded, without a slash at the end. */
  readonly prefix: ByteString;
  /** Whether what the route's final `/*` follows is cut off. */
  readonly strip: boolean;
}

type Asked = Pick<Exchange, "target" | "path" | "query">;

/** The target as it stands in the request to the origin. */
export function originTarget(
  { target, path, query }: Asked,
  mount: Pick<Mount, "scriptName">,
  { prefix, strip }: TargetOptions,
): ByteString {
  if (path === "*") return target;
  const mark = target.indexOf("?");
  const raw = mark === -1 ? target : target.slice(0, mark);
  const isPlain = raw === path || !UNRESOLVED.test(raw);
  if (isPlain && !strip) return prefix + target;
  const whole = isPlain ? raw : writePath(path);
  const rest = strip ? afterSegments(whole, mount.scriptName) : whole;
  const own = prefix + (rest === "" ? "/" : rest);
  return mark === -1 ? own : `${own}?${query}`;
}

/** Dot segments, as they are or escaped, and repeated slashes. */
const UNRESOLVED = /\/(?:(?:\.|%2e){1,2}(?:\/|$)|\/)/i;

/** A decoded path in a form that means the same to whoever decodes it. */
export function writePath(path: ByteString): ByteString {
  return path.split(ENCODED_SLASH).map(encodePath).join("%2F");
}

/** What follows as many segments as `scriptName` has: the same place, however the client escaped it. */
function afterSegments(path: ByteString, scriptName: ByteString): ByteString {
  let at = 0;
  for (let from = scriptName.indexOf("/"); from !== -1; from = scriptName.indexOf("/", from + 1)) {
    at = path.indexOf("/", at + 1);
    if (at === -1) return "";
  }
  return path.slice(at);
}

/** An origin as its own responses name it. */
export interface OriginName {
  /** `http://host:port`, in lower case. */
  readonly base: string;
  readonly prefix: ByteString;
}

/**
 * A Location of the origin's own address as the path that a client reaches it by; any other as it is. The
 * address behind the gateway is nobody's business, and nobody could follow it.
 */
export function publicLocation(
  location: ByteString,
  { base, prefix }: OriginName,
  cut: ByteString,
): ByteString {
  if (location.slice(0, base.length).toLowerCase() !== base) return location;
  const rest = location.slice(base.length);
  // The address may go on: `http://10.0.0.1:80` is not `http://10.0.0.1:8080`.
  const isOwn = rest.startsWith(prefix) && /^(?:[/?#]|$)/.test(rest.slice(prefix.length));
  if (!isOwn) return location;
  const path = cut + rest.slice(prefix.length);
  // A second slash would make a host of the first segment.
  return path.startsWith("/") ? path.replace(/^\/+/, "/") : `/${path}`;
}
