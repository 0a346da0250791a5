/** Stored replies made by hand. */
import type { Stored } from "../../lib/io/cache_store.ts";

export function copyOf(url: string, changes: Partial<Stored> = {}): Stored {
  return {
    url,
    status: 200,
    headers: [["content-type", "text/plain"]],
    body: new Uint8Array(1000),
    vary: [],
    bornAt: 0,
    freshUntil: 1000,
    staleUntil: 1000,
    errorUntil: 1000,
    isForAll: false,
    tags: [],
    retryAt: 0,
    wasUsed: false,
    head: undefined,
    ...changes,
  };
}

/** A body whose bytes tell its URL and its length. */
export function bodyFor(url: string, length: number): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(`${url} ${length};`);
  return Uint8Array.from({ length }, (_, at) => text[at % text.length] ?? 0);
}
