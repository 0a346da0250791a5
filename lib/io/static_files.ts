/**
 * Files of a tree as replies: which methods they know, in which coding they are sent, and how long they
 * may be kept. Conditions and ranges are file_reply's.
 */
import { GatewayError } from "../errors.ts";
import type { Exchange, HeaderPair, Reply } from "../exchange.ts";
import { chooseCoding } from "../protocol/accept_encoding.ts";
import { type CacheRule, cacheRule, type FileOptions } from "./static_fields.ts";
import { fileReply } from "./file_reply.ts";
import type { FileTree, TreeFile } from "./file_tree.ts";
import { tagOf } from "./file_words.ts";

const CODINGS = ["br", "zstd", "gzip"] as const;
type Coding = (typeof CODINGS)[number];

const SUFFIX: Readonly<Record<Coding, string>> = { br: ".br", zstd: ".zst", gzip: ".gz" };

const ALLOW: HeaderPair = ["allow", "GET, HEAD, OPTIONS"];

/** What files say is their type is what they are: no guessing (WHATWG MIME Sniffing §2). */
const NOSNIFF: HeaderPair = ["x-content-type-options", "nosniff"];

export class StaticFiles {
  readonly #tree: FileTree;
  readonly #cacheRule: CacheRule;
  readonly #codings: readonly Coding[];

  constructor(tree: FileTree, { cacheControl, precompressed = false }: FileOptions) {
    this.#tree = tree;
    this.#cacheRule = cacheRule(cacheControl);
    this.#codings = precompressed ? CODINGS : [];
  }

  /**
   * The reply that a file makes; any status but 200 sends all of it.
   * @throws {GatewayError} 405 `wrong-method`, and as {@link fileReply}.
   */
  reply(file: TreeFile, exchange: Exchange, status = 200): Reply {
    const other = replyToMethod(exchange);
    if (other !== undefined) return other;
    const headers = [NOSNIFF];
    const cacheControl = this.#cacheRule(file.place);
    if (cacheControl !== undefined) headers.push(["cache-control", cacheControl]);
    if (this.#codings.length === 0) return fileReply(file, exchange, { status, headers });
    return this.#negotiated(file, exchange, { status, headers });
  }

  #negotiated(
    file: TreeFile,
    exchange: Exchange,
    { status, headers }: { readonly status: number; readonly headers: HeaderPair[] },
  ): Reply {
    const sidecars = this.#sidecarsOf(file);
    if (sidecars.size === 0) return fileReply(file, exchange, { status, headers });
    headers.push(["vary", "accept-encoding"]);
    const coding = chooseCoding(exchange.headers.get("accept-encoding"), [...sidecars.keys()]);
    const sidecar = coding && sidecars.get(coding);
    if (sidecar === undefined) return fileReply(file, exchange, { status, headers });
    headers.push(["content-encoding", coding ?? ""]);
    // RFC 9110 §8.8.3.3: each coding is a representation of its own.
    const tag = tagOf(sidecar.info);
    if (tag !== undefined) headers.push(["etag", `${tag.slice(0, -1)}-${coding}"`]);
    const encoded = { path: sidecar.path, name: file.name, info: sidecar.info };
    return fileReply(encoded, exchange, { status, headers });
  }

  /** All that there are, for Vary has to be said to those too who take none of them. */
  #sidecarsOf({ place }: TreeFile): Map<Coding, TreeFile> {
    const sidecars = new Map<Coding, TreeFile>();
    for (const coding of this.#codings) {
      const found = this.#tree.find(place + SUFFIX[coding]);
      if (found.type === "file" && found.rest === "") sidecars.set(coding, found);
    }
    return sidecars;
  }
}

/**
 * What a method gets that is neither GET nor HEAD; undefined for those two.
 * @throws {GatewayError} 405 `wrong-method`.
 */
export function replyToMethod({ method }: Exchange): Reply | undefined {
  if (method === "GET" || method === "HEAD") return undefined;
  if (method === "OPTIONS") return { type: "reply", status: 204, headers: [ALLOW], body: null };
  throw new GatewayError(405, "wrong-method", `A file does not take ${method}`, {
    headers: [ALLOW],
  });
}
