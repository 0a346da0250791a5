/** Secrets that others have to bring along: told from guesses in a time that tells nothing of them. */

/** Shorter ones could be tried out. */
export const LEAST_SECRET = 16;

/** The secrets that a text holds: while one is exchanged for the next, both stand there. */
export function readSecrets(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** Whether what was given is one of the secrets. */
export function isSecret(given: string, secrets: readonly string[]): boolean {
  let fits = false;
  // No early end: how long it takes tells nothing of which one fits.
  for (const secret of secrets) fits = isEqual(given, secret) || fits;
  return fits;
}

/** Compares all of what was given, wherever the first difference is. */
function isEqual(given: string, secret: string): boolean {
  let difference = given.length ^ secret.length;
  for (let at = 0; at < given.length; at++) {
    difference |= given.charCodeAt(at) ^ secret.charCodeAt(at % secret.length);
  }
  return difference === 0;
}
