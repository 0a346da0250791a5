/**
 * Where a pool's connections go, and the talk between a pool and whoever keeps the programs there: they
 * come and go (a process manager's), or stay (addresses that the configuration names).
 */
import type { Stateful } from "../handler.ts";
import type { Address } from "../values.ts";

/** One place that connections go to. Places are told apart by identity. */
export interface Endpoint {
  readonly address: Address;
  /** Connections at once. */
  readonly max: number;
  /** Serves only while no other is up. */
  readonly backup?: boolean | undefined;
  /** Is told of every request there, for who counts them. */
  readonly usage?: Usage | undefined;
}

/** The requests at an endpoint. Each that begins ends, however it ends. */
export interface Usage {
  /** A connection is given out for a request. It may withdraw the endpoint there and then. */
  begin(): void;
  /** The request is over: its connection rests, or is closed. */
  end(): void;
}

/** Who routes requests: a pool, as its endpoints' keeper sees it. */
export interface EndpointSink {
  /** How many requests wait for a connection. */
  readonly waiting: number;
  /** Routes requests there from now on; those that wait get theirs at once. */
  add(endpoint: Endpoint): void;
  /**
   * Routes no more requests there and closes the connections at rest. Resolves when the last request
   * has ended and no connection is left.
   */
  remove(endpoint: Endpoint): Promise<void>;
}

/** Who keeps endpoints that come and go. */
export interface EndpointSource extends AsyncDisposable, Stateful {
  /** Adds what there is to the sink, and tells it of every change. Once, and of one sink. */
  attach(sink: EndpointSink): void;
  /** A request waits: no endpoint has room for it. Cheap; may be called for each such request. */
  grow(): void;
}
