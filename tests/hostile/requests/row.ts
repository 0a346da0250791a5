/**
 * How the tables of raw requests are written. A row's bytes are Latin-1 text, sent as they stand, with the
 * {@link CONTROL} request right behind them on the same connection.
 */

/**
 * What is sent and what must come of it.
 *
 * `answers` are the statuses that came, in order: `+` for the control request's own, `-` where the
 * connection was closed without any, `?` where the gateway waits for more. Without `+` or `?` the connection
 * is closed, the control request unanswered. A refusal that ends in `+` is the gateway's own; after one of
 * the runtime's parser the connection is closed.
 *
 * `seen` is all that reached the application: `METHOD target @host`, fields that are not the proxy's own,
 * and the body in quotes.
 */
export type Row = readonly [what: string, sends: string, answers: string, ...seen: string[]];

export const HOST = "Host: a.test";

export const CONTROL = "GET /control HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

/** A request to a.test without a body. */
export function get(target: string, ...fields: readonly string[]): string {
  return raw(`GET ${target} HTTP/1.1`, HOST, ...fields);
}

/** A POST to /x at a.test; `data` stands behind the head as it is. */
export function post(fields: string | readonly string[], data: string): string {
  return raw("POST /x HTTP/1.1", HOST, ...[fields].flat()) + data;
}

/** A chunked POST. */
export function chunked(data: string): string {
  return post("Transfer-Encoding: chunked", data);
}

/** Lines, and the blank one. */
export function raw(...lines: readonly string[]): string {
  return [...lines, "", ""].join("\r\n");
}
