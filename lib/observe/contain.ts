/** What nobody caught: reported and counted, and no end to all requests. */
import type { Log } from "./log.ts";

/** A mistake in one place must not end all requests. Gives how many there were so far. */
export function containFaults(log: Log): { readonly count: number } {
  const contained = { count: 0 };
  // A file that may grow no further is told by an error, too, which is enough (setrlimit(2)).
  Deno.addSignalListener("SIGXFSZ", () => {});
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    contained.count++;
    log.notice(`Unhandled rejection: ${describe(event.reason)}`);
  });
  addEventListener("error", (event) => {
    event.preventDefault();
    contained.count++;
    log.notice(`Uncaught error: ${describe(event.error)}`);
  });
  return contained;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
