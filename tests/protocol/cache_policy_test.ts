/** Whether a reply may be stored, and for how long it may be used. */
import assert from "node:assert/strict";
import type { HeaderPair } from "../../lib/exchange.ts";
import { judge, type Judgement, type PolicyOptions } from "../../lib/protocol/cache_policy.ts";

const NOW = Date.parse("2026-01-02T03:04:05Z");
const OPTIONS: PolicyOptions = {
  defaultTtlMs: 0,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  storeCookies: false,
};

interface Case {
  readonly status?: number;
  readonly asked?: Record<string, string>;
  readonly isAuthenticated?: boolean;
  readonly options?: Partial<PolicyOptions>;
}

/** Fields are written as `name: value`. */
function judged(fields: readonly string[], changes: Case = {}): Judgement | undefined {
  const { status = 200, asked = {}, isAuthenticated = false, options = {} } = changes;
  const headers = fields.map((field): HeaderPair => {
    const colon = field.indexOf(": ");
    return [field.slice(0, colon), field.slice(colon + 2)];
  });
  const question = { asked: new Headers(asked), isAuthenticated, status, headers };
  return judge(question, { ...OPTIONS, ...options }, NOW);
}

function at(ms: number): string {
  return new Date(NOW + ms).toUTCString();
}

Deno.test("judge() gives the lifetime that the reply says (RFC 9111 §4.2.1)", () => {
  const rows: [fields: string[], seconds: number | undefined][] = [
    [["Cache-Control: max-age=60"], 60],
    [["Cache-Control: max-age=60, s-maxage=10"], 10],
    [["Cache-Control: s-maxage=10", `Expires: ${at(99_000)}`], 10],
    [[`Date: ${at(0)}`, `Expires: ${at(30_000)}`], 30],
    [[`Date: ${at(0)}`, `Expires: ${at(30_000).toLowerCase()}`], 30],
    [["Expires: 0"], undefined],
    [["Expires: 0", 'ETag: "a"'], 0],
    [[`Date: ${at(0)}`, `Expires: ${at(30_000).replace("GMT", "CET")}`], undefined],
    [["Cache-Control: max-age=60, must-revalidate"], 60],
    [["Cache-Control: max-age=60, proxy-revalidate"], 60],
    [["Cache-Control: no-cache", 'ETag: "a"'], 0],
    [["Cache-Control: no-cache"], undefined],
    [["Cache-Control: max-age=soon"], undefined],
    [["Cache-Control: max-age=60", "CDN-Cache-Control: max-age=5"], 5],
    [["Cache-Control: no-store", "CDN-Cache-Control: max-age=5"], 5],
    [["CDN-Cache-Control: max-age=5", "Pragma: no-cache"], 5],
    // Nothing is guessed.
    [[`Last-Modified: ${at(-1e9)}`], undefined],
    [[], undefined],
  ];
  for (const [fields, seconds] of rows) {
    const lifetime = judged(fields)?.lifetimeMs;
    assert.equal(lifetime, seconds === undefined ? undefined : seconds * 1000, fields.join());
  }
});

Deno.test("judge() stores nothing that must not be stored (RFC 9111 §3)", () => {
  const fresh = "Cache-Control: max-age=60";
  const rows: [fields: string[], changes?: Case][] = [
    [["Cache-Control: no-store, max-age=60"]],
    [["Cache-Control: private, max-age=60"]],
    [['Cache-Control: private="x", max-age=60']],
    [[fresh, "CDN-Cache-Control: private, max-age=60"]],
    [[fresh, "Set-Cookie: a=1"]],
    [[fresh, "Vary: Accept, *"]],
    [[fresh, "Content-Type: text/event-stream"]],
    [[fresh], { asked: { "cache-control": "no-store" } }],
    [[fresh], { isAuthenticated: true }],
    [[fresh], { status: 206 }],
    [[fresh], { status: 304 }],
  ];
  for (const [fields, changes] of rows) {
    assert.equal(judged(fields, changes), undefined, JSON.stringify([fields, changes]));
  }
});

Deno.test("judge() stores what leave is given for", () => {
  const rows: [fields: string[], changes: Case][] = [
    [["Cache-Control: s-maxage=60"], { isAuthenticated: true }],
    [["Cache-Control: max-age=60, public"], { isAuthenticated: true }],
    [["Cache-Control: max-age=60, must-revalidate"], { isAuthenticated: true }],
    [["Cache-Control: max-age=60", "Set-Cookie: a=1"], { options: { storeCookies: true } }],
    [["Cache-Control: max-age=60"], { status: 503 }],
    [["Cache-Control: no-store, must-understand, max-age=60"], {}],
  ];
  for (const [fields, changes] of rows) {
    assert.equal(judged(fields, changes)?.lifetimeMs, 60_000, JSON.stringify([fields, changes]));
  }
  const unknown = { status: 599 };
  assert.equal(
    judged(["Cache-Control: no-store, must-understand, max-age=60"], unknown),
    undefined,
  );
});

Deno.test("judge() takes defaultTtl for what says nothing, from those who show no cookie", () => {
  const options = { defaultTtlMs: 5000 };
  assert.equal(judged([], { options })?.lifetimeMs, 5000);
  assert.equal(judged([], { options, status: 404 })?.lifetimeMs, 5000);
  for (const changes of [{ status: 500 }, { status: 302 }, { asked: { cookie: "a=1" } }]) {
    assert.equal(judged([], { options, ...changes }), undefined);
  }
  assert.equal(judged(["Cache-Control: max-age=1"], { options })?.lifetimeMs, 1000);
  assert.equal(judged(["Cache-Control: private"], { options }), undefined);
});

Deno.test("judge() knows how old a reply is that comes from another cache (RFC 9111 §4.2.3)", () => {
  const rows: [fields: string[], ms: number][] = [
    [[], 0],
    [["Age: 30"], 30_000],
    [["Age: 30, 40"], 30_000],
    [["Age: old"], 0],
    [[`Date: ${at(-20_000)}`], 20_000],
    [[`Date: ${at(-20_000)}`, "Age: 30"], 30_000],
    [[`Date: ${at(20_000)}`], 0],
  ];
  for (const [fields, ms] of rows) {
    assert.equal(judged(["Cache-Control: max-age=60", ...fields])?.initialAgeMs, ms, fields.join());
  }
});

Deno.test("judge() lets stale replies be used as long as nobody forbids it (RFC 5861)", () => {
  const options = { staleWhileRevalidateMs: 7000, staleIfErrorMs: 8000 };
  const rows: [control: string, whileMs: number, errorMs: number][] = [
    ["max-age=1", 7000, 8000],
    ["max-age=1, stale-while-revalidate=2, stale-if-error=3", 2000, 3000],
    ["s-maxage=1, stale-while-revalidate=2", 2000, 0],
    ["max-age=1, must-revalidate", 0, 0],
    ["max-age=1, must-revalidate, stale-if-error=3", 0, 0],
    ["max-age=1, stale-while-revalidate=0", 0, 8000],
  ];
  for (const [control, whileMs, errorMs] of rows) {
    const judgement = judged([`Cache-Control: ${control}`], { options });
    const { staleWhileRevalidateMs, staleIfErrorMs } = judgement ?? {};
    assert.deepEqual([staleWhileRevalidateMs, staleIfErrorMs], [whileMs, errorMs], control);
  }
});
