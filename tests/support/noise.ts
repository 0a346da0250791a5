/** Bytes that no one can compress, and how to name them. */

type Bytes = Uint8Array<ArrayBuffer>;

/** What the runtime gives at once. */
const STEP = 65_536;

/** Fills the array with random bytes, and gives it back. */
export function fillRandom(bytes: Bytes): Bytes {
  for (let at = 0; at < bytes.length; at += STEP) {
    crypto.getRandomValues(bytes.subarray(at, at + STEP));
  }
  return bytes;
}

/** SHA-256 in lower-case hexadecimal digits. */
export async function sha256(bytes: Bytes): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
