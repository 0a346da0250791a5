/**
 * What every request meets before it is routed: who it came from, and whether it came by way of the CDN.
 * The CDN's secret is asked of the peer itself, and no program gets to see it.
 */
import { GatewayError } from "./errors.ts";
import type { Endpoint } from "./exchange.ts";
import type { Trust } from "./protocol/forwarding.ts";
import { withholding } from "./protocol/withhold.ts";

/** Whether a peer knows what only the CDN knows. */
export interface Secret {
  /** The field that holds it, in lower case. */
  readonly field: string;
  admits(peer: Endpoint, headers: Headers): boolean;
}

export interface EntranceOptions {
  readonly trust: Trust;
  readonly secret: Secret | undefined;
  /** Says something to the operator. */
  notice(message: string): void;
}

/** Strangers may cause it with every request, so it is said no more often. */
const SILENCE_MS = 60_000;

const CONTESTED =
  "A trusted proxy sent Forwarded and X-Forwarded-* that contradict each other: X-Forwarded-* was " +
  "believed; let the proxy delete the fields that it does not set";
const UNKNOWN = "A request without the origin's secret was refused";

/** The trust, and before it the secret. Its `resolve` throws GatewayError 403 `origin-secret`. */
export function createEntrance({ trust, secret, notice }: EntranceOptions): Trust {
  const contested = seldom(() => notice(CONTESTED));
  const unknown = seldom(() => notice(UNKNOWN));
  const hide = withholding(secret?.field ?? "");
  return {
    resolve(peer, headers, own) {
      if (secret !== undefined && !secret.admits(peer, headers)) {
        unknown();
        throw new GatewayError(403, "origin-secret", `${peer.address} did not send the secret`);
      }
      const told = trust.resolve(peer, headers, own);
      if (told.contested) contested();
      return secret === undefined ? told : { ...told, withholds: hide(told.withholds) };
    },
  };
}

function seldom(say: () => void): () => void {
  let last = -Infinity;
  return () => {
    const now = performance.now();
    if (now - last < SILENCE_MS) return;
    last = now;
    say();
  };
}
