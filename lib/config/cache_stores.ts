/** What the `cache.store` of several routes have to agree on: one folder has one size. */
import { resolvePath } from "../values.ts";
import type { Position, Report } from "./position.ts";
import type { Draft } from "./route.ts";
import { type Slot, valueOf } from "./tree.ts";

interface Sized {
  readonly maxSize: number;
  readonly line: number;
}

export interface Stores {
  /** The folder that relative names start from. */
  readonly folder: string;
  readonly report: Report;
  readonly locate: (offset: number) => Position;
}

export function checkStores(
  routes: readonly { readonly slot: Slot; readonly draft: Draft | undefined }[],
  { folder, report, locate }: Stores,
): void {
  const known = new Map<string, Sized>();
  for (const { slot, draft } of routes) {
    const store = draft?.options.cache?.store;
    const cache = valueOf(slot.node, "cache")?.node;
    const place = cache && valueOf(cache, "store");
    if (store === undefined || place === undefined) continue;
    const dir = resolvePath(store.dir, folder).replace(/\/+$/, "");
    const { maxSize } = store;
    const other = known.get(dir);
    if (other === undefined) known.set(dir, { maxSize, line: locate(place.key).line });
    else if (other.maxSize !== maxSize) {
      report(
        place.node.start,
        `Cannot give ${store.dir} two sizes: write the same maxSize as on line ${other.line}`,
      );
    }
  }
}
