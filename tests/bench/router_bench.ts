/**
 * What a match costs by the number of routes: `deno bench tests/bench/router_bench.ts`. One iteration is
 * a thousand look-ups, spread over the whole table in an order that no cache foresees. They ask with
 * strings never seen before, as requests do, which are made outside the measured time.
 */
import { createRouter, type Router } from "../../lib/router/router.ts";

interface Kind {
  /** The path and the host of the route with this number. */
  route(id: string): { readonly path: string; readonly host?: string };
  /** A path that this route takes, varied by a second number. */
  path(id: string, variation: string): string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  static: {
    route: (id) => ({ path: `/section/page-${id}` }),
    path: (id) => `/section/page-${id}`,
  },
  prefix: {
    route: (id) => ({ path: `/application-${id}/*` }),
    path: (id, variation) => `/application-${id}/file-${variation}/info`,
  },
  parameter: {
    route: (id) => ({ path: `/resource-${id}/:id/items/:item` }),
    path: (id, variation) => `/resource-${id}/${variation}/items/${variation}`,
  },
  host: {
    route: (id) => ({ path: "/*", host: `site-${id}.example.org` }),
    path: (_, variation) => `/file-${variation}/info`,
  },
};

const SIZES = [10, 100, 1_000, 10_000];
const LOOKUPS = 1_000;

interface Question {
  readonly hostname: string;
  readonly path: string;
}

/** Mulberry32: the same pseudo-random numbers from 0 up to 1 in every run. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

/** The same text as a string of its own, flat and without a hash, as decoding a request makes it. */
function fresh(text: string): string {
  return decoder.decode(encoder.encode(text));
}

/** Numbers of one width, so that the names of larger tables are not longer ones. */
function toId(number: number): string {
  return String(number).padStart(5, "0");
}

function createTable(kind: Kind, size: number): Router {
  return createRouter(Array.from({ length: size }, (_, number) => {
    const { path, host } = kind.route(toId(number));
    return { path, host, methods: undefined };
  }));
}

function createQuestion(kind: Kind, size: number, random: () => number): Question {
  const id = toId(Math.floor(random() * size));
  const path = kind.path(id, toId(Math.floor(random() * 99_999)));
  return { hostname: fresh(kind.route(id).host ?? "localhost"), path: fresh(path) };
}

/** Asks all questions; the sum keeps the answers from being optimised away. */
function askAll(router: Router, questions: readonly Question[]): number {
  let sum = 0;
  for (const { hostname, path } of questions) {
    const match = router.match("GET", hostname, path);
    if (match.type !== "found") throw new Error(`Cannot find a route for ${hostname}${path}`);
    sum += match.index + match.mount.scriptName.length;
  }
  return sum;
}

for (const [group, kind] of Object.entries(KINDS)) {
  for (const size of SIZES) {
    const router = createTable(kind, size);
    const random = createRandom(size);
    Deno.bench({
      group,
      name: `${group}: ${size.toLocaleString("en")} routes`,
      baseline: size === SIZES[0],
      fn(bench) {
        const questions = Array.from(
          { length: LOOKUPS },
          () => createQuestion(kind, size, random),
        );
        bench.start();
        askAll(router, questions);
        bench.end();
      },
    });
  }
}
