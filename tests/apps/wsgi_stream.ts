/** A stream that never ends by itself, and takes down what becomes of it. */
import type { Application } from "../../lib/protocol/wsgi.ts";

export const events: string[] = [];

const UTF8 = new TextEncoder();

export const application: Application = async function* (environ, startResponse) {
  const signal = environ["portico.signal"];
  signal.addEventListener("abort", () => events.push("abort"));
  startResponse("200 OK", [["Content-Type", "text/plain"]]);
  try {
    if (environ.PATH_INFO === "/break") {
      yield UTF8.encode("so far");
      throw new Error("broken off");
    }
    for (let tick = 0; !signal.aborted; tick++) {
      yield UTF8.encode(`tick ${tick}\n`);
      await pause(10, signal);
    }
  } finally {
    events.push(`finally ${environ.PATH_INFO}`);
  }
};

/** Waits, but not past the end of the request. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => {
    clearTimeout(timer);
    resolve();
  };
  signal.addEventListener("abort", stop);
  return promise.finally(() => signal.removeEventListener("abort", stop));
}
