/**
 * The secret that a CDN adds to each request (`server.originSecret`): read from the environment, so that
 * it stands in no file, and compared in a time that tells nothing of it.
 */
import type { Endpoint } from "../exchange.ts";
import { readRanges } from "../protocol/forwarding.ts";
import { contains, parseIp } from "../protocol/ip.ts";
import { isSecret, LEAST_SECRET, readSecrets } from "../protocol/secret_words.ts";

export interface OriginSecretOptions {
  readonly header: string;
  readonly env: string;
  readonly except: readonly string[];
}

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
  const secrets = readSecrets(Deno.env.get(env) ?? "");
  if (secrets.length === 0) {
    throw new Error(`Cannot know the origin's secret: set the variable ${env}`);
  }
  if (secrets.some((secret) => secret.length < LEAST_SECRET)) {
    throw new Error(`Cannot use a secret of fewer than ${LEAST_SECRET} characters in ${env}`);
  }
  const ranges = readRanges(except);
  return {
    field,
    admits(peer, headers) {
      const fits = isSecret(headers.get(field) ?? "", secrets);
      if (fits || ranges.length === 0) return fits;
      return contains(ranges, parseIp(peer.address) ?? (peer.port === 0 ? "unix" : undefined));
    },
  };
}
