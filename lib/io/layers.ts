/**
 * What a route wants done to the replies of its service, whatever its kind, in one order.
 *
 * From the client inwards: cache, compress, conditional. The cache keeps what is compressed, so that a hit
 * costs nothing; what is compressed is known to be sent, for a condition has already been met; and
 * conditions are weighed against the program's own validators. Who may ask at all is settled before. Each
 * layer is loaded when a route wants it.
 */
import type {
  CacheOptions,
  CacheStoreOptions,
  ConditionalOptions,
  Context,
  Service,
  Shared,
} from "../handler.ts";
import type { Coding } from "../protocol/content_coding.ts";
import { partOf } from "../part.ts";
import { resolvePath } from "../values.ts";
import type { DiskStore } from "./disk_store.ts";
import type { ResponseCache } from "./response_cache.ts";

/** A renewal without a client has no client's time limits. */
const RENEWAL_MS = 60_000;

/** The service within the route's layers, which owns it. A cache is added to `caches`. */
export async function withLayers(
  service: Service,
  context: Context,
  caches: Set<ResponseCache>,
): Promise<Service> {
  const { conditional, compress, cache } = context.options;
  const cut = conditional === undefined ? service : await conditioned(service, conditional);
  const packed = compress === undefined ? cut : await compressed(cut, compress);
  return cache === undefined ? packed : await cached(packed, { cache, context, caches });
}

async function conditioned(service: Service, options: ConditionalOptions): Promise<Service> {
  const { withConditional } = await import("./conditional.ts");
  return withConditional(service, options);
}

async function compressed(service: Service, codings: readonly Coding[]): Promise<Service> {
  const { withCompression } = await import("./compression.ts");
  return withCompression(service, codings);
}

interface Caching {
  readonly cache: CacheOptions;
  readonly context: Context;
  readonly caches: Set<ResponseCache>;
}

async function cached(service: Service, { cache, context, caches }: Caching): Promise<Service> {
  const { withCache } = await import("./cache.ts");
  const { chooseCoding } = await import("../protocol/accept_encoding.ts");
  const { ResponseCache } = await import("./response_cache.ts");
  const { compress, timeoutMs, firstByteTimeoutMs } = context.options;
  const key = `cache ${JSON.stringify(cache)}`;
  const maxSize = partOf(cache.maxSize, context.part);
  const shared = await context.share(
    key,
    async () =>
      new ResponseCache(
        { ...cache, maxSize },
        cache.store && await openStore(cache.store, context),
      ),
  );
  caches.add(shared.value);
  return withCache(service, shared, {
    log: context.log,
    timeoutMs: timeoutMs ?? firstByteTimeoutMs ?? RENEWAL_MS,
    codingOf: compress && ((field) => chooseCoding(field, compress) ?? ""),
  });
}

/**
 * One for each folder: it is whoever has it last that says how much may be in it. Of several workers each
 * has a part of the folder for itself.
 */
async function openStore(
  { dir, maxSize }: CacheStoreOptions,
  { place, part, log, share }: Context,
): Promise<Shared<DiskStore>> {
  const folder = resolvePath(dir, place.folder).replace(/\/+$/, "");
  const { DiskStore } = await import("./disk_store.ts");
  const size = partOf(maxSize, part);
  const open = () =>
    DiskStore.open(folder, { maxSize: size, part, notice: (message) => log.notice(message) });
  const shared = await share(`cache store ${folder}`, open);
  shared.value.maxSize = size;
  return shared;
}
