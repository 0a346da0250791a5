/**
 * A certificate and its key, read from their files and tried out, so that a faulty pair is told of before
 * a listener would end by it.
 */

/** Where the pair lies: absolute names of PEM files. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** The pair itself, as PEM. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

/** @throws {Error} whose message an operator understands. */
export async function readTlsFiles(files: TlsFiles): Promise<TlsPair> {
  const cert = await readFile("certificate", files.cert);
  const key = await readFile("key", files.key);
  try {
    // Nothing else in the runtime takes a pair without listening.
    Deno.createHttpClient({ cert, key }).close();
  } catch (error) {
    throw new Error(reasonOf(error, files, key), { cause: error });
  }
  return { cert, key };
}

async function readFile(what: string, path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const reason = error instanceof Deno.errors.NotFound
      ? "there is no such file"
      : error instanceof Deno.errors.PermissionDenied
      ? "its permissions forbid it"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new Error(`Cannot read the ${what} ${path}: ${reason}`, { cause: error });
  }
}

function reasonOf(error: unknown, { cert, key }: TlsFiles, keyText: string): string {
  const message = error instanceof Error ? error.message : String(error);
  if (message.includes("KeyMismatch")) {
    return `Cannot use the key ${key}: it is not that of the certificate ${cert}`;
  }
  if (message.includes("No keys found")) {
    return keyText.includes("ENCRYPTED")
      ? `Cannot use the key ${key}: it is encrypted; write it decrypted`
      : `Cannot use the key ${key}: it holds no private key in PEM`;
  }
  if (message.includes("No certificates found")) {
    return `Cannot use the certificate ${cert}: it holds none in PEM`;
  }
  return `Cannot use the certificate ${cert} with the key ${key}: ${message}`;
}
