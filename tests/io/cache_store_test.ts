/** Stored replies: found by URL and by what they vary by, within a number of bytes, purged by key. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { CacheOptions } from "../../lib/handler.ts";
import { CacheStore, costOf } from "../../lib/io/cache_store.ts";
import { normalUrl, ResponseCache } from "../../lib/io/response_cache.ts";
import { copyOf } from "../support/stored.ts";

const nothing = () => "";
const asking = (fields: Record<string, string>) => (name: string) => fields[name] ?? "";

Deno.test("CacheStore finds the copy that answers the request", () => {
  const store = new CacheStore(1e6);
  const german = copyOf("http://a/", { vary: [["accept-language", "de"]] });
  const english = copyOf("http://a/", { vary: [["accept-language", "en"]] });
  store.put(german);
  store.put(english);
  assert.equal(store.find("http://a/", asking({ "accept-language": "de" })), german);
  assert.equal(store.find("http://a/", asking({ "accept-language": "en" })), english);
  assert.equal(store.find("http://a/", nothing), undefined);
  assert.equal(store.find("http://b/", nothing), undefined);
  assert.deepEqual(store.varyingFields("http://a/"), ["accept-language"]);
});

Deno.test("CacheStore puts a copy in place of the one before", () => {
  const store = new CacheStore(1e6);
  store.put(copyOf("http://a/", { tags: ["old"] }));
  const next = copyOf("http://a/", { tags: ["new"] });
  store.put(next);
  assert.equal(store.count, 1);
  assert.equal(store.size, costOf(next));
  assert.equal(store.deleteTag("old").length, 0);
  assert.equal(store.deleteTag("new").length, 1);
  assert.equal(store.size, 0);
});

Deno.test("CacheStore keeps within its bytes, and keeps what is used", () => {
  const one = costOf(copyOf("http://a/0"));
  const store = new CacheStore(3 * one);
  for (const at of [0, 1, 2]) store.put(copyOf(`http://a/${at}`));
  store.find("http://a/0", nothing);
  store.put(copyOf("http://a/3"));
  assert.ok(store.has("http://a/0"), "it was used");
  assert.ok(!store.has("http://a/1"), "the oldest that was not");
  assert.ok(store.size <= 3 * one);
});

Deno.test("CacheStore never loses count of its bytes", () => {
  const step = fc.record({
    what: fc.constantFrom("put", "deleteUrl", "deleteTag", "find"),
    url: fc.integer({ min: 0, max: 5 }),
    size: fc.integer({ min: 0, max: 3000 }),
    tag: fc.integer({ min: 0, max: 3 }),
    language: fc.constantFrom("", "de", "en"),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const store = new CacheStore(8000);
    for (const { what, url, size, tag, language } of steps) {
      const vary: [string, string][] = language === "" ? [] : [["accept-language", language]];
      const body = new Uint8Array(size);
      if (what === "put") store.put(copyOf(`/${url}`, { body, tags: [`t${tag}`], vary }));
      else if (what === "deleteUrl") store.deleteUrl(`/${url}`);
      else if (what === "deleteTag") store.deleteTag(`t${tag}`);
      else store.find(`/${url}`, asking({ "accept-language": language }));
      assert.ok(store.size <= 8000 && (store.count > 0) === (store.size > 0));
    }
    store.clear();
    assert.deepEqual([store.size, store.count], [0, 0]);
  }));
});

const OPTIONS: CacheOptions = {
  maxSize: 1e6,
  maxEntry: 1e5,
  defaultTtlMs: 0,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  storeCookies: false,
  clientDirectives: false,
};

Deno.test("ResponseCache.purge() forgets by URL, by surrogate key, or everything", () => {
  const cache = new ResponseCache(OPTIONS);
  for (const [url, tags] of [["1", ["a"]], ["2", ["a", "b"]], ["3", []]] as const) {
    cache.put(copyOf(`http://example.org/${url}`, { tags }));
  }
  assert.equal(cache.purge({ url: "HTTP://Example.ORG/3#part" }), 1);
  assert.equal(cache.purge({ tag: "b" }), 1);
  assert.equal(cache.purge({ tag: "b" }), 0);
  assert.equal(cache.purge({ all: true }), 1);
  assert.equal(cache.store.size, 0);
});

Deno.test("ResponseCache remembers for a while what is for one alone", () => {
  const cache = new ResponseCache(OPTIONS);
  cache.pass("a", 0);
  assert.deepEqual([cache.isPassed("a", 9999), cache.isPassed("b", 0)], [true, false]);
  assert.deepEqual([cache.isPassed("a", 10_000), cache.isPassed("a", 0)], [false, false]);
  for (let at = 0; at < 5000; at++) cache.pass(String(at), 0);
  assert.deepEqual([cache.isPassed("0", 1), cache.isPassed("4999", 1)], [false, true]);
});

Deno.test("normalUrl() folds the authority's case, and nothing else's", () => {
  assert.equal(normalUrl("HTTP://A.Example/B?C=//D#E"), "http://a.example/B?C=//D");
});
