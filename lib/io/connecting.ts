/** A request that waits for a connection to be opened, and may end before it is; what all pools share. */
import { GatewayError } from "../errors.ts";
import type { Lifeline } from "../lifeline.ts";

/**
 * Waits for a connection and notes how long that took. If the request ends first it is told so at once, and
 * `spare` gets the connection.
 */
export function connecting<T>(
  lifeline: Lifeline,
  opening: Promise<T>,
  spare: (connection: T) => void,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let left = false;
  const leave = (reason: Error) => {
    left = true;
    reject(reason);
  };
  const since = performance.now();
  lifeline.onCut(leave);
  opening.then((connection) => {
    if (left) return spare(connection);
    lifeline.forget(leave);
    lifeline.ledger.connected(since);
    resolve(connection);
  }, (error) => {
    lifeline.forget(leave);
    lifeline.trace?.ended("connect", since, error);
    reject(error);
  });
  return promise;
}

/** The answer of a pool that is closed. */
export function stopping(): GatewayError {
  return new GatewayError(503, "shutting-down", "The server stops");
}
