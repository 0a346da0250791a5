/** An application that misbehaves as its path says; in a worker it can harm nobody but itself. */
import { parentPort, workerData } from "node:worker_threads";
import type { Application, Environ } from "../../lib/protocol/wsgi.ts";

const UTF8 = new TextEncoder();
/** Tells one worker, and one life of it, from another. */
const identity = crypto.randomUUID();
const events: string[] = [];

const application: Application = async (environ, startResponse) => {
  const said = await play(environ);
  startResponse("200 OK", [["Content-Type", "text/plain"]]);
  return typeof said === "string" ? [UTF8.encode(said)] : said;
};
export default application;

/** Each is answered with who answered. */
async function play(environ: Environ): Promise<string | AsyncGenerator<Uint8Array>> {
  const [, what = "", value = ""] = environ.PATH_INFO.split("/");
  switch (what) {
    case "spin":
      spin(Number(value));
      return identity;
    case "wait":
      await new Promise((resolve) => setTimeout(resolve, Number(value)));
      return identity;
    case "throw":
      throw new RangeError("as asked");
    case "uncaught":
      setTimeout(() => {
        throw new RangeError("nobody catches this");
      }, 1);
      return await forever();
    case "rejection":
      Promise.reject(new RangeError("nobody handles this"));
      return await forever();
    case "exit":
      Deno.exit(Number(value));
      break;
    case "memory":
      return fill([]);
    case "grumble":
      environ["wsgi.errors"].write("one\ntwo");
      return identity;
    case "stream":
      return ticks(Number(value));
    case "burst":
      return burst(Number(value));
    case "events":
      return events.splice(0).join();
    case "post":
      for (const message of ["x", 1, null, [null], [["x", 1]], [["data", 99, 1]]]) {
        parentPort?.postMessage(message);
      }
      return identity;
    case "scribble":
      new Int32Array(workerData.lane.toGateway).fill(12345);
      return await forever();
    case "size":
      return "x".repeat(Number(value));
    case "length":
      return String((await environ["wsgi.input"].read()).length);
    case "path":
      return `${environ.PATH_INFO} ${environ.QUERY_STRING} ${environ["HTTP_X_NAME"]}`;
    case "shared":
      return `${environ["wsgi.multithread"]} ${environ["wsgi.multiprocess"]}`;
    case "frozen":
      return String(Object.isFrozen(environ["portico.routes"]));
  }
  return identity;
}

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

function forever(): Promise<never> {
  return new Promise(() => {});
}

function fill(all: number[][]): never {
  for (;;) all.push(Array.from({ length: 100_000 }, (_, at) => at + Math.random()));
}

/** Never ends by itself; takes down when it is closed. */
async function* ticks(everyMs: number): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      yield UTF8.encode("tick\n");
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  } finally {
    events.push("closed");
  }
}

/** Yields some, and then dies with all that is around it. */
async function* burst(bytes: number): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(bytes);
  await new Promise((resolve) => setTimeout(resolve, 50));
  Deno.exit(1);
}

/** The other convention, as misbehaving. */
export const fetching = {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname.endsWith("/echo")) return new Response(request.body);
    if (pathname.endsWith("/throw")) throw new RangeError("as asked");
    if (pathname.endsWith("/signal")) {
      request.signal.addEventListener("abort", () => events.push("aborted"));
      return await forever();
    }
    if (pathname.endsWith("/events")) return new Response(events.splice(0).join());
    return new Response(identity);
  },
};
