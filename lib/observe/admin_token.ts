/** The admin listener's token: read from the environment, so that it stands in no file (RFC 6750). */
import { isSecret, LEAST_SECRET, readSecrets } from "../protocol/secret_words.ts";

export interface AdminToken {
  admits(headers: Headers): boolean;
}

/**
 * Reads the variable, which may hold several tokens between spaces.
 * @throws {Error} if there is none, or one that is easily guessed.
 */
export function openAdminToken(variable: string): AdminToken {
  const tokens = readSecrets(Deno.env.get(variable) ?? "");
  if (tokens.length === 0) {
    throw new Error(`Cannot know the admin listener's token: set the variable ${variable}`);
  }
  if (tokens.some((token) => token.length < LEAST_SECRET)) {
    throw new Error(`Cannot use a token of fewer than ${LEAST_SECRET} characters in ${variable}`);
  }
  return {
    admits(headers) {
      const given = /^Bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
      return isSecret(given ?? "", tokens);
    },
  };
}
