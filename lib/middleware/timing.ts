/**
 * Tells how long the application took to start its response, in Server-Timing, where browsers show it
 * (W3C Server Timing).
 */
import type { Middleware } from "../protocol/wsgi.ts";

export interface TimingOptions {
  /** A token; default `app`. */
  readonly name?: string;
}

/** Adds a Server-Timing of the time from the call to start_response. */
export function timing({ name = "app" }: TimingOptions = {}): Middleware {
  if (!/^[!#$%&'*+\-.^`|~\w]+$/.test(name)) {
    throw new TypeError(`Cannot name a timing ${JSON.stringify(name)}: it is no token`);
  }
  return (application) => (environ, startResponse) => {
    const begun = performance.now();
    return application(environ, (status, headers, excInfo) => {
      const field = `${name};dur=${(performance.now() - begun).toFixed(1)}`;
      return startResponse(status, [...headers, ["Server-Timing", field]], excInfo);
    });
  };
}
