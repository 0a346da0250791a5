/**
 * The crowd: clients that ask all kinds, upload, read streams, send several requests at once on one
 * connection, or leave when they like. Each looks at its answer byte by byte.
 */
import { Client, type Head } from "../support/client.ts";
import { fillingOf, freshId, isSame, proofOf, queryOf, type Wish } from "./proof.ts";
import { FILES, type Site } from "./site.ts";
import type { Fate, Tally, Weather } from "./tally.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Routes whose program proves itself: the name is the path. What may be restarted behind them. */
const PROGRAMS: Readonly<Record<string, string | undefined>> = {
  cgi: undefined,
  fpm: "fpm",
  fastcgi: "children",
  php: "children",
  inline: undefined,
  isolate: undefined,
  python: "children",
  uwsgi: "uwsgi",
  scgi: "uwsgi",
  proxy: "origin",
  cache: "origin",
};
const ECHOING = Object.keys(PROGRAMS).filter((kind) => kind !== "cache");
const PATIENCE_MS = 40_000;
const UTF8 = new TextEncoder();

/** What a client makes of an answer. `false-end`: it came to an end, which was not its own. */
type Judgement = Fate | "false-end";

interface Seen {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Bytes;
  readonly whole: boolean;
}

export interface Crowd {
  readonly site: Site;
  readonly tally: Tally;
  readonly weather: Weather;
  /** Of one phase: its connections end with it. */
  readonly http: Deno.HttpClient;
}

/** One client: asks on and on, at its own pace, until it is told to stop. */
export async function wander(crowd: Crowd, isOver: () => boolean, pauseMs: number): Promise<void> {
  while (!isOver()) {
    await errand(crowd);
    await sleep(Math.random() * 2 * pauseMs);
  }
}

async function errand(crowd: Crowd): Promise<void> {
  const kind = pick(ECHOING);
  const lot = Math.random();
  if (lot < 0.35) return await ask(crowd, kind, wishOf({ size: sizeUpTo(2000) }));
  if (lot < 0.42) return await ask(crowd, kind, wishOf({ size: sizeUpTo(2_000_000) }));
  if (lot < 0.47) return await ask(crowd, kind, wishOf({ ticks: 6 }));
  if (lot < 0.57) return await ask(crowd, kind, wishOf({}), { body: noise(3_000_000) });
  if (lot < 0.62) {
    return await ask(crowd, kind, wishOf({}), { body: noise(300_000), chunked: true });
  }
  if (lot < 0.67) return await pipeline(crowd, kind);
  if (lot < 0.73) return await leaveEarly(crowd, kind);
  if (lot < 0.77) return await leaveUpload(crowd, kind);
  if (lot < 0.87) return await askCache(crowd);
  if (lot < 0.95) return await askFile(crowd);
  return await askRedirect(crowd);
}

function wishOf({ size = 0, ticks = 0 }: Partial<Wish>): Wish {
  return { id: freshId(), size, ticks };
}

interface Upload {
  readonly body: Bytes;
  readonly chunked?: boolean;
}

async function ask(crowd: Crowd, kind: string, wish: Wish, upload?: Upload): Promise<void> {
  const body = upload?.body ?? new Uint8Array(0);
  const expected = await proofOf(wish, body);
  await look(crowd, kind, `${pathOf(kind)}?${queryOf(wish)}`, {
    ...(upload && { method: "POST", body: upload.chunked ? streamOf(body) : body }),
  }, (seen) => judge(seen, 200, expected, wish.id));
}

/** One of few URLs: most are in the cache. */
async function askCache(crowd: Crowd): Promise<void> {
  const number = Math.floor(Math.random() * 40);
  const wish = { id: `copy${String(number).padStart(12, "0")}`, size: 100 * number, ticks: 0 };
  const expected = await proofOf(wish, new Uint8Array(0));
  const check = (seen: Seen) => judge(seen, 200, expected, wish.id);
  await look(crowd, "cache", `/cache?${queryOf(wish)}`, {}, check);
}

async function askFile(crowd: Crowd): Promise<void> {
  const file = pick(FILES);
  const all = UTF8.encode(fillingOf(file));
  const first = Math.floor(Math.random() * all.length);
  const isPart = Math.random() < 0.4;
  const headers = isPart ? { range: `bytes=${first}-` } : {};
  const expected = isPart ? all.subarray(first) : all;
  const check = (seen: Seen) => judge(seen, isPart ? 206 : 200, expected);
  await look(crowd, "static", `/static/${file.id}.txt`, { headers }, check);
}

async function askRedirect(crowd: Crowd): Promise<void> {
  const id = freshId();
  await look(crowd, "redirect", `/old/${id}`, { redirect: "manual" }, ({ status, headers }) => {
    const location = headers.get("location") ?? "";
    if (status !== 308) return ["lost", `status ${status}`];
    return location.endsWith(`/static/${id}`) ? ["whole", ""] : ["mixed", location];
  });
}

/** Sends a request and looks at what comes of it. */
async function look(
  { site, tally, weather, http }: Crowd,
  kind: string,
  target: string,
  init: RequestInit,
  check: (seen: Seen) => [Judgement, string],
): Promise<void> {
  const from = performance.now();
  let [judgement, why]: [Judgement, string] = ["lost", ""];
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(site.base + target, { ...init, signal, client: http });
    [judgement, why] = check(await gather(response));
  } catch (error) {
    why = String(error);
  }
  const fate = settled(judgement, kind, weather.excuses(PROGRAMS[kind], from));
  tally.count(kind, fate, `${init.method ?? "GET"} ${target}: ${why}`);
}

/** What came, also of an answer that was cut short. */
async function gather(response: Response): Promise<Seen> {
  const { status, headers } = response;
  const pieces: Bytes[] = [];
  let whole = true;
  try {
    for await (const piece of response.body ?? []) pieces.push(piece);
  } catch {
    whole = false;
  }
  return { status, headers, bytes: new Uint8Array(await new Blob(pieces).arrayBuffer()), whole };
}

function judge(
  seen: Seen,
  status: number,
  expected: Bytes,
  id?: string,
): [Judgement, string] {
  const { bytes, whole } = seen;
  if (seen.status !== status) return ["lost", `status ${seen.status}`];
  const proof = seen.headers.get("x-proof") ?? undefined;
  if (proof !== id) return ["mixed", `X-Proof: ${proof}`];
  const got = `${bytes.length} of ${expected.length} bytes`;
  if (!isSame(bytes, expected.subarray(0, bytes.length))) return ["mixed", `other bytes, ${got}`];
  if (whole && bytes.length === expected.length) return ["whole", ""];
  return [whole ? "false-end" : "lost", `ended after ${got}`];
}

/**
 * An answer that looks whole and is not is as bad as another's. uwsgi and SCGI servers that are stopped can
 * do no better: the connection's end is the reply's.
 */
function settled(fate: Judgement, kind: string, isExcused: boolean): Fate {
  if (fate === "lost") return isExcused ? "disturbed" : "lost";
  if (fate !== "false-end") return fate;
  return isExcused && PROGRAMS[kind] === "uwsgi" ? "disturbed" : "mixed";
}

/** Several requests on one connection, sent at once: answers come in their order. */
async function pipeline(
  { site, tally, weather }: Crowd,
  kind: string,
): Promise<void> {
  const from = performance.now();
  const wishes = [wishOf({ size: 10 }), wishOf({ size: 3000 }), wishOf({ size: 100 })];
  let [judgement, why]: [Judgement, string] = ["whole", ""];
  try {
    using client = await Client.connect(portOf(site));
    await client.write(wishes.map((wish) => headOf("GET", kind, wish, "")).join(""));
    for (const wish of wishes) {
      const answer = await client.answer();
      const seen = { ...answer, headers: headersOf(answer) };
      [judgement, why] = judge(seen, 200, await proofOf(wish, new Uint8Array(0)), wish.id);
      if (judgement !== "whole") break;
    }
  } catch (error) {
    [judgement, why] = ["lost", String(error)];
  }
  const fate = settled(judgement, kind, weather.excuses(PROGRAMS[kind], from));
  tally.count(kind, fate, `pipelined: ${why}`);
}

function headersOf(head: Head): Headers {
  const proof = head.get("x-proof");
  return new Headers(proof === undefined ? [] : [["x-proof", proof]]);
}

/** Leaves while the answer is being made or sent. */
async function leaveEarly({ site, tally }: Crowd, kind: string): Promise<void> {
  const wish = wishOf(Math.random() < 0.5 ? { ticks: 20 } : { size: 3_000_000 });
  try {
    using client = await Client.connect(portOf(site));
    await client.write(headOf("GET", kind, wish, ""));
    if (Math.random() < 0.5) await client.some();
    await sleep(Math.random() * 60);
  } catch {
    // Whatever came of it, it is not wanted.
  }
  tally.count(kind, "left");
}

/** Leaves in the midst of an upload. */
async function leaveUpload({ site, tally }: Crowd, kind: string): Promise<void> {
  const wish = wishOf({});
  try {
    using client = await Client.connect(portOf(site));
    await client.write(headOf("POST", kind, wish, "Content-Length: 2000000\r\n"));
    await client.write(noise(1_900_000));
    await sleep(Math.random() * 30);
  } catch {
    // As above.
  }
  tally.count(kind, "left");
}

function headOf(method: string, kind: string, wish: Wish, more: string): string {
  return `${method} ${pathOf(kind)}?${queryOf(wish)} HTTP/1.1\r\nHost: 127.0.0.1\r\n${more}\r\n`;
}

function pathOf(kind: string): string {
  return kind === "php" ? "/php/a/page" : `/${kind}`;
}

function portOf(site: Site): number {
  return Number(new URL(site.base).port);
}

function streamOf(bytes: Bytes): ReadableStream<Bytes> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes.slice(at, at + 20_000));
      at += 20_000;
      if (at >= bytes.length) controller.close();
    },
  });
}

function noise(max: number): Bytes {
  const bytes = new Uint8Array(sizeUpTo(max));
  for (let at = 0; at < bytes.length; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return bytes;
}

/** Short ones are as frequent as long ones, by their digits. */
function sizeUpTo(max: number): number {
  return Math.floor(max ** Math.random());
}

function pick<T>(list: readonly T[]): T {
  const one = list[Math.floor(Math.random() * list.length)];
  if (one === undefined) throw new Error("There is nothing to choose from");
  return one;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
