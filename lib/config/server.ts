/** The `server` section: its fields, their defaults, and the options they become. */
import * as v from "valibot";
import {
  type Address,
  cannotRead,
  count,
  described,
  duration,
  fields,
  flag,
  formatAddress,
  list,
  listenAddress,
  oneOrMore,
  optional,
  size,
  text,
  word,
} from "../fields.ts";
import { type ListenAddress, MAX_SOCKET_PATH, resolvePath } from "../values.ts";
import { accessLog } from "./access_log.ts";
import { check } from "./check.ts";
import { distinct } from "./distinct.ts";
import { listenerFields, readListener } from "./listener.ts";
import { fieldName, originSecret } from "./origin_secret.ts";
import type { Report } from "./position.ts";
import { range } from "./range.ts";
import type { ServerOptions } from "./table.ts";
import { readListeners, tls } from "./tls.ts";
import { traces, tracesOptions } from "./traces.ts";
import { itemsOf, type Slot, valueOf } from "./tree.ts";

/** Port 0 is a new port each time. */
function bound(address: Address): string | undefined {
  return address.transport === "tcp" && address.port === 0 ? undefined : formatAddress(address);
}

const MAX_WORKERS = 256;
const WORKERS = `a number of processes up to ${MAX_WORKERS}, or auto`;

export const serverSchema = fields({
  listen: described(
    v.optional(
      v.pipe(
        oneOrMore(listenAddress),
        v.minLength(1, "Cannot listen nowhere: write an address"),
        distinct(bound),
      ),
      "127.0.0.1:8080",
    ),
    "Where the server listens: one address or a list. Port 0 picks a free one.",
  ),
  trustedProxies: described(
    v.optional(list(range), []),
    "Peers whose Forwarded and X-Forwarded-* fields are believed; unix means every Unix socket's.",
  ),
  clientIpHeader: described(
    optional(fieldName),
    "The field in which the CDN tells the client's address, such as CF-Connecting-IP; believed as above.",
  ),
  originSecret: described(
    optional(originSecret),
    "What the CDN adds to each request and nobody else knows; 403 without it.",
  ),
  tls: described(
    optional(tls),
    "The certificate: addresses are then https, unless written http://host:port.",
  ),
  ...listenerFields,
  workers: described(
    v.optional(
      v.union(
        [v.pipe(count(1), v.maxValue(MAX_WORKERS, cannotRead("workers", WORKERS))), word("auto")],
        cannotRead("workers", WORKERS),
      ),
      1,
    ),
    "Processes that serve side by side, each a whole gateway; auto: one for each core. Limits are for all together.",
  ),
  stallTimeout: described(
    v.optional(duration, "30s"),
    "With several workers: how long one may show no sign of life until it is ended and replaced; 0s: any time.",
  ),
  maxRequestBody: described(
    v.optional(size, "64MiB"),
    "The longest request body; a longer one is answered with 413. A route may set its own.",
  ),
  bodyIdleTimeout: described(
    v.optional(duration, "30s"),
    "The longest pause in a request body; 408 past it. 0s: any.",
  ),
  bodyMinRate: described(
    v.optional(size, 256),
    "The least bytes a second of a request body, averaged over bodyIdleTimeout; 408 below. 0: any.",
  ),
  sendTimeout: described(
    v.optional(duration, "60s"),
    "How long a client may take nothing of its answer before it is cut off. 0s: any time.",
  ),
  drainTimeout: described(
    v.optional(duration, "30s"),
    "How long requests under way may go on when the server stops.",
  ),
  drainDelay: described(
    v.optional(duration, "0s"),
    "How long to go on accepting after SIGTERM, not ready any more, so that load balancers notice.",
  ),
  slowRequest: described(
    optional(duration),
    "Requests that take longer have a line of their own in the log, with the times of their phases.",
  ),
  accessLog: described(
    v.optional(accessLog, "combined"),
    "The form of the access log: combined, json, off, or a line such as {client} {status} {target}.",
  ),
  accessLogFile: described(
    optional(text),
    "A file for the access log instead of standard output; opened anew at SIGUSR1.",
  ),
  traces: described(
    optional(traces),
    "Where spans of the requests go: an OTLP collector's URL, or a map of fields.",
  ),
  dev: described(
    v.optional(flag, false),
    "For development: protocol validators run, and error pages explain.",
  ),
  spoolDir: described(
    v.optional(text, "/tmp/portico-spool"),
    "A folder for request bodies that outgrow memory.",
  ),
  spoolQuota: described(
    v.optional(size, "1GiB"),
    "How much all spooled request bodies may take on disk together.",
  ),
  runDir: described(
    optional(text),
    "A folder for the sockets of spawned programs; by default one under /tmp, named after this file.",
  ),
});

/** Where the configuration file stands. */
export interface Origin {
  readonly file: string;
  /** Absolute. */
  readonly folder: string;
}

/** What a socket's name takes below the run folder: a slot, a prefix, a number. */
const ROOM_FOR_SOCKET = 27;

/** The options of a `server` section; all by default if there is none or it is faulty. */
export function readServer(slot: Slot | undefined, origin: Origin, report: Report): ServerOptions {
  const read = slot && check(serverSchema, slot, report);
  const {
    drainTimeout,
    drainDelay,
    slowRequest,
    accessLogFile,
    bodyIdleTimeout,
    sendTimeout,
    tls,
    clientIpHeader,
    originSecret,
    listener,
    headerTimeout,
    keepAliveTimeout,
    maxConnections,
    maxRequestHead,
    traces,
    workers,
    stallTimeout,
    ...options
  } = read ??
    v.parse(serverSchema, {});
  const { folder } = origin;
  const refuseLong = (path: string, room: number, place: Slot | undefined) => {
    const bytes = new TextEncoder().encode(path).length;
    if (bytes <= room || place === undefined) return;
    report(
      place.node.start,
      `Cannot use a path of ${bytes} bytes here: write one of ${room} or fewer`,
    );
  };
  const runDir = resolvePath(options.runDir ?? defaultRunDir(origin), folder);
  refuseLong(runDir, MAX_SOCKET_PATH - ROOM_FOR_SOCKET, slot && valueOf(slot.node, "runDir"));
  const written = slot && valueOf(slot.node, "listen");
  const listen = options.listen.map((address, i): ListenAddress => {
    if (address.transport !== "unix") return address;
    const path = resolvePath(address.path, folder);
    refuseLong(path, MAX_SOCKET_PATH, itemsOf(written?.node)[i] ?? written);
    return { transport: "unix", path };
  });
  const spoolDir = resolvePath(options.spoolDir, folder);
  const times = {
    drainTimeoutMs: drainTimeout,
    drainDelayMs: drainDelay,
    bodyIdleTimeoutMs: bodyIdleTimeout,
    sendTimeoutMs: sendTimeout,
    ...(accessLogFile && { accessLogFile: resolvePath(accessLogFile, folder) }),
    ...(slowRequest === undefined ? {} : { slowRequestMs: slowRequest }),
  };
  const named = slot && valueOf(slot.node, "clientIpHeader");
  if (clientIpHeader !== undefined && options.trustedProxies.length === 0 && named !== undefined) {
    report(named.key, "Cannot believe a field of nobody: write trustedProxies too");
  }
  const limits = { listener, headerTimeout, keepAliveTimeout, maxConnections, maxRequestHead };
  const node = readListener(limits, slot, report);
  return {
    ...options,
    ...times,
    ...(node && { node }),
    stallTimeoutMs: stallTimeout,
    workers: workers === "auto" ? Math.min(navigator.hardwareConcurrency, MAX_WORKERS) : workers,
    ...readListeners({ listen, tls }, { slot, folder, report }),
    ...(clientIpHeader === undefined ? {} : { clientIpHeader }),
    ...(originSecret === undefined ? {} : { originSecret }),
    ...(traces === undefined ? {} : { traces: tracesOptions(traces) }),
    spoolDir,
    runDir,
  };
}

/** Short, since the names of sockets are; the same for each start with the same file. */
function defaultRunDir({ file, folder }: Origin): string {
  const path = resolvePath(file.slice(file.lastIndexOf("/") + 1), folder);
  return `/tmp/portico-${fnv1a(path).toString(16).padStart(8, "0")}`;
}

/** FNV-1a, 32 bits, over UTF-8: stable between versions, spread well enough for names. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash;
}
