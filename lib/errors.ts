/**
 * The three ways in which something can be wrong, and the one mapping to a status.
 *
 * - {@link ConfigError}: the configuration file is faulty; start-up and `check` report it.
 * - {@link ProtocolError}: a peer (script, upstream, application) broke its protocol's rules. It
 *   knows no HTTP status: a codec that throws it may be facing either side.
 * - {@link GatewayError}: the request cannot be answered as asked; carries the status.
 *
 * The client only ever sees the status text and a request id; `message` and `failure` go to the log.
 */

/** One fault of the configuration file, at its place (1-based line and column). */
export interface Fault {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Formats a fault as editors and compilers do: `FILE:LINE:COLUMN: message`. */
export function formatFault(fault: Fault): string {
  return `${fault.file}:${fault.line}:${fault.column}: ${fault.message}`;
}

/** The configuration is faulty. Holds every fault found, not the first alone. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(readonly faults: readonly Fault[]) {
    super(faults.map(formatFault).join("\n"));
  }
}

/** A peer broke the rules of its protocol. `failure` is a stable name for logs and metrics. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  constructor(readonly failure: string, message: string) {
    super(message);
  }
}

export interface GatewayErrorOptions extends ErrorOptions {
  /** Response fields of the answer, such as `Allow` or `Retry-After`. */
  readonly headers?: readonly (readonly [string, string])[];
  /** What the program wrote before it failed; shown to the client under `server.dev` alone. */
  readonly detail?: string;
}

/**
 * The request cannot be answered as asked. `status` is what the client gets; `failure` is the stable
 * name of the cause (`connect-refused`, `no-head`, …) and `message` its explanation, both for the log.
 */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly headers: readonly (readonly [string, string])[];
  readonly detail: string | undefined;
  constructor(
    readonly status: number,
    readonly failure: string,
    message: string,
    options: GatewayErrorOptions = {},
  ) {
    super(message, options);
    this.headers = options.headers ?? [];
    this.detail = options.detail;
  }
}

/** The client left before its answer was complete. Logged as 499; nobody reads the answer. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
  constructor() {
    super("The client left");
  }
}

/** The stable name of what went wrong. */
export function failureOf(error: unknown): string {
  if (error instanceof GatewayError || error instanceof ProtocolError) return error.failure;
  return error instanceof ClientGone ? "client-gone" : "internal";
}

/** Maps anything thrown on the request path to a {@link GatewayError}. The gateway alone calls it. */
export function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  if (error instanceof ClientGone) return new GatewayError(499, "client-gone", error.message);
  if (error instanceof ProtocolError) {
    return new GatewayError(502, error.failure, error.message, { cause: error });
  }
  const message = error instanceof Error ? error.stack ?? error.message : String(error);
  return new GatewayError(500, "internal", message, { cause: error });
}

const reported = new WeakSet<Error>();

/** An answer is ended by this error, which is told of in its request's name. */
export function markReported(error: Error): void {
  reported.add(error);
}

export function isReported(error: unknown): boolean {
  return error instanceof Error && reported.has(error);
}
