/**
 * What a client sees of an error that the gateway answers itself: the status text and the id that leads to
 * the log; under `server.dev` the cause as well. `Proxy-Status` tells machines what went wrong behind us.
 */
import type { GatewayError } from "./errors.ts";
import type { HeaderPair } from "./exchange.ts";
import { proxyStatus } from "./protocol/proxy_status.ts";
import { statusText } from "./protocol/status_text.ts";

/** The route that failed, as a developer wants to see it. */
export interface FailedRoute {
  readonly config: { readonly name: string; readonly key: string };
  readonly upstream: string;
}

export interface ErrorPage {
  readonly headers: HeaderPair[];
  readonly body: Uint8Array<ArrayBuffer>;
}

const UTF8 = new TextEncoder();

/** The answer's fields and body. `route`: null hides the cause; undefined: there was none. */
export function errorPage(
  id: string,
  failure: GatewayError,
  route: FailedRoute | null | undefined,
): ErrorPage {
  const status = proxyStatus(failure.status, failure.failure);
  const text = route === null ? briefly(id, failure) : explained(id, failure, route);
  return {
    headers: [
      ["content-type", "text/plain; charset=utf-8"],
      ["x-request-id", id],
      ["cache-control", "no-store"],
      ...(status === undefined ? [] : [status]),
      ...failure.headers.map(([name, value]): HeaderPair => [name, value]),
    ],
    body: UTF8.encode(text),
  };
}

/** What everybody may see: the status text and the id that leads to the log. */
function briefly(id: string, failure: GatewayError): string {
  return `${failure.status} ${statusText(failure.status)}\nRequest id: ${id}\n`;
}

/** What a developer wants to see (`server.dev`). */
function explained(id: string, failure: GatewayError, route: FailedRoute | undefined): string {
  const where = route === undefined
    ? "no route"
    : `route "${route.config.name}" (${route.config.key}: ${route.upstream})`;
  const detail = failure.detail === undefined ? "" : `\n${failure.detail}\n`;
  return `${briefly(id, failure)}\n${failure.failure}: ${failure.message}\n${where}\n${detail}`;
}
