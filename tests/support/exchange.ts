/** Requests for tests that need one, with nothing behind them. */
import type { Exchange } from "../../lib/exchange.ts";
import { Lifeline } from "../../lib/lifeline.ts";

export function exchangeOf(changes: Partial<Exchange> = {}): Exchange {
  return {
    id: "id-1",
    method: "GET",
    target: "/",
    path: "/",
    query: "",
    hostname: "example.org",
    authority: "example.org",
    scheme: "http",
    client: { address: "192.0.2.9", port: 4000 },
    server: { address: "192.0.2.1", port: 80 },
    headers: new Headers(),
    body: null,
    withholds: () => false,
    lifeline: new Lifeline(),
    ...changes,
  };
}
