/**
 * The thread that computes password hashes: a tenth of a second and more each, during which nothing else
 * would be served. It is told a hash and a password, and answers whether they fit, in order.
 */
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { argon2Verify, bcryptVerify } from "hash-wasm";

/** What is asked. The password is not empty and holds no NUL. */
export interface PasswordQuestion {
  readonly hash: string;
  readonly password: Uint8Array<ArrayBuffer>;
}

/** bcrypt knows no more of a password; htpasswd and all others cut it there, too. */
const BCRYPT_BYTES = 72;

async function fits({ hash, password }: PasswordQuestion): Promise<boolean> {
  if (hash.startsWith("$argon2")) return await argon2Verify({ password, hash });
  return await bcryptVerify({ password: password.subarray(0, BCRYPT_BYTES), hash });
}

self.onmessage = async ({ data }: MessageEvent<PasswordQuestion>) => {
  try {
    self.postMessage(await fits(data));
  } catch (error) {
    self.postMessage(error instanceof Error ? error.message : String(error));
  }
};
