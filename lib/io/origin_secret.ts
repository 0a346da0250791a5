/**
 * The secret that a CDN adds to each request (`server.originSecret`): read from the environment, so that
 * it stands in no file, and compared in a time that tells nothing of it.
 */
import type { Endpoint } from "../exchange.ts";
import { contains, parseIp } from "../protocol/authority.ts";
import { readRanges } from "../protocol/forwarding.ts";

export interface OriginSecretOptions {
  readonly header: string;
  readonly env: string;
  readonly except: readonly string[];
}

/** Shorter ones could be tried out. */
const LEAST = 16;

export interface OriginSecret {
  readonly field: string;
  admits(peer: Endpoint, headers: Headers): boolean;
}

/**
 * Reads the variable. It may hold several secrets between spaces: while one is exchanged for the next,
 * both are good.
 * @throws {Error} if there is none, or one that is easily guessed.
 */
export function openOriginSecret(options: OriginSecretOptions): OriginSecret {
  const { header, env, except } = options;
  const field = header.toLowerCase();
  const secrets = (Deno.env.get(env) ?? "").split(/\s+/).filter((word) => word !== "");
  if (secrets.length === 0) {
    throw new Error(`Cannot know the origin's secret: set the variable ${env}`);
  }
  if (secrets.some((secret) => secret.length < LEAST)) {
    throw new Error(`Cannot use a secret of fewer than ${LEAST} characters in ${env}`);
  }
  const ranges = readRanges(except);
  return {
    field,
    admits(peer, headers) {
      const given = headers.get(field) ?? "";
      let fits = false;
      // No early end: how long it takes tells nothing of which one fits.
      for (const secret of secrets) fits = isEqual(given, secret) || fits;
      if (fits || ranges.length === 0) return fits;
      return contains(ranges, parseIp(peer.address) ?? (peer.port === 0 ? "unix" : undefined));
    },
  };
}

/** Compares all of what was given, wherever the first difference is. */
function isEqual(given: string, secret: string): boolean {
  let difference = given.length ^ secret.length;
  for (let at = 0; at < given.length; at++) {
    difference |= given.charCodeAt(at) ^ secret.charCodeAt(at % secret.length);
  }
  return difference === 0;
}
