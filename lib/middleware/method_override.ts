/**
 * Takes the method from X-HTTP-Method-Override where a client can only POST. Of a POST alone, and to a
 * method of the list alone: a GET that deletes could be forged by a link.
 *
 * The route has judged the request by then as the POST that it is: let its `methods` say so.
 */
import type { Middleware } from "../protocol/wsgi.ts";

export interface MethodOverrideOptions {
  /** Methods that a POST may become; default PUT, PATCH and DELETE. */
  readonly methods?: readonly string[];
}

const COMMON = ["PUT", "PATCH", "DELETE"];

/** Turns a POST into the method that its header names. */
export function methodOverride({ methods = COMMON }: MethodOverrideOptions = {}): Middleware {
  return (application) => (environ, startResponse) => {
    const wanted = environ.HTTP_X_HTTP_METHOD_OVERRIDE;
    if (environ.REQUEST_METHOD === "POST" && typeof wanted === "string") {
      const method = wanted.trim().toUpperCase();
      if (methods.includes(method)) environ.REQUEST_METHOD = method;
    }
    return application(environ, startResponse);
  };
}
