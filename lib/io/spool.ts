/**
 * Temporary files for request bodies that outgrow memory. A file loses its name as soon as it is open,
 * so nothing stays behind whatever happens to the gateway; one quota bounds them all together.
 */
import { GatewayError } from "../errors.ts";
import { shortageOf } from "./shortage.ts";

/** Makes spool files in one folder, within one quota. */
export class Spool {
  #used = 0;
  readonly #folder: string;
  readonly #quota: number;

  /** @param quota Bytes that all files together may hold. */
  constructor(folder: string, quota: number) {
    this.#folder = folder;
    this.#quota = quota;
  }

  /** Bytes held by open files. */
  get used(): number {
    return this.#used;
  }

  /** @throws {GatewayError} 503 `spool-full` or `no-descriptors`, 500 `spool-failed`. */
  async create(): Promise<SpoolFile> {
    const name = `${this.#folder}/${crypto.randomUUID()}`;
    try {
      const file = await this.#open(name);
      await Deno.remove(name).catch((error) => {
        file.close();
        throw error;
      });
      return new SpoolFile(file, this);
    } catch (error) {
      throw this.failure(error);
    }
  }

  /** What a fault of the disk is to the request. */
  failure(error: unknown): GatewayError {
    const attempt = `spool a request body in ${this.#folder}`;
    const reason = error instanceof Error ? error.message : String(error);
    return shortageOf(error, attempt, "file") ??
      new GatewayError(500, "spool-failed", `Cannot ${attempt}: ${reason}`, { cause: error });
  }

  async #open(name: string): Promise<Deno.FsFile> {
    // O_EXCL: a name planted by somebody else is refused, not followed.
    const options = { createNew: true, read: true, write: true, mode: 0o600 };
    try {
      return await Deno.open(name, options);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      // The first of all, or the folder was swept away as temporary files are.
      await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
      return await Deno.open(name, options);
    }
  }

  /** @throws {GatewayError} 503 `spool-full`. */
  take(bytes: number): void {
    if (this.#used + bytes > this.#quota) {
      throw new GatewayError(503, "spool-full", `Spooled bodies exceed ${this.#quota} bytes`, {
        headers: [["retry-after", "5"]],
      });
    }
    this.#used += bytes;
  }

  giveBack(bytes: number): void {
    this.#used -= bytes;
  }
}

/** A nameless file: written once, rewound, read once. */
export class SpoolFile {
  readonly #file: Deno.FsFile;
  readonly #spool: Spool;
  #length = 0;
  #closed = false;

  constructor(file: Deno.FsFile, spool: Spool) {
    this.#file = file;
    this.#spool = spool;
  }

  /** Bytes written. */
  get length(): number {
    return this.#length;
  }

  /** @throws {GatewayError} as {@link Spool.take} and {@link Spool.create}. */
  async append(bytes: Uint8Array): Promise<void> {
    this.#spool.take(bytes.length);
    this.#length += bytes.length;
    try {
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    } catch (error) {
      throw this.#spool.failure(error);
    }
  }

  async rewind(): Promise<void> {
    await this.#file.seek(0, Deno.SeekMode.Start);
  }

  /** Reads into `memory`; undefined at the end. */
  async read(memory: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const count = await this.#file.read(memory);
    return count === null ? undefined : memory.subarray(0, count);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#spool.giveBack(this.#length);
    this.#file.close();
  }
}
