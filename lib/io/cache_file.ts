/**
 * One stored reply in a file: written beside its name and then renamed, so that whatever bears the name
 * is whole; looked at again before it is sent, so that what has been cut or changed since is not.
 */
import { crc32 } from "node:zlib";
import type { BodyPiece, ByteSource } from "../exchange.ts";
import {
  type CacheFileBody,
  type CacheFileHead,
  decodeFooter,
  decodeHead,
  encodeTail,
  FOOTER_SIZE,
} from "../protocol/cache_file.ts";
import { fileSource } from "./file_body.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Enough for the footer and nearly every head. */
const GLANCE = 4096;

/** A whole copy in the file system. */
export class CacheFile {
  readonly path: string;
  /** Bytes of the whole file. */
  readonly size: number;
  readonly #body: CacheFileBody;
  /** The entry that the file stands behind; it goes when that does. */
  owner: object | undefined;

  constructor(path: string, size: number, body: CacheFileBody) {
    this.path = path;
    this.size = size;
    this.#body = body;
  }

  /** Bytes of the body. */
  get length(): number {
    return this.#body.length;
  }

  /** The whole body at once; undefined: there is none any more that would be right. */
  read(): Bytes | undefined {
    using file = this.#open();
    if (file === undefined) return undefined;
    const bytes = new Uint8Array(this.length);
    return fill(file, bytes) && crc32(bytes) === this.#body.crc ? bytes : undefined;
  }

  /** The body as it is read; undefined: there is none any more. */
  source(): ByteSource | undefined {
    const file = this.#open();
    if (file === undefined) return undefined;
    return new CheckedSource(fileSource(file, [{ start: 0, end: this.length }]), this.#body);
  }

  #open(): Deno.FsFile | undefined {
    const file = opened(this.path);
    if (file === undefined || file.statSync().size === this.size) return file;
    file.close();
    return undefined;
  }
}

/** Fails before its last piece where the bytes are not those that were stored. */
class CheckedSource implements ByteSource {
  readonly #source: ByteSource;
  readonly #body: CacheFileBody;
  #crc = 0;
  #count = 0;

  constructor(source: ByteSource, body: CacheFileBody) {
    this.#source = source;
    this.#body = body;
  }

  async read(): Promise<Bytes | undefined> {
    const piece = await this.#source.read();
    if (piece === undefined) return undefined;
    this.#crc = crc32(piece, this.#crc);
    this.#count += piece.length;
    if (this.#count < this.#body.length || this.#crc === this.#body.crc) return piece;
    throw new Error("A stored copy has changed on the disk");
  }

  /** What parts add up to is not known. */
  slices(pieces: readonly BodyPiece[]): ByteSource {
    return this.#source.slices?.(pieces) ?? this.#source;
  }

  cancel(reason: Error): void {
    this.#source.cancel(reason);
  }
}

/** Reads what a file tells of itself; undefined: it is no whole copy. */
export function readCacheFile(
  path: string,
): { readonly file: CacheFile; readonly head: CacheFileHead; readonly at: number } | undefined {
  using file = opened(path);
  if (file === undefined) return undefined;
  const { size, mtime, isFile } = file.statSync();
  if (!isFile || size < FOOTER_SIZE) return undefined;
  const end = endOf(file, size, Math.min(size, GLANCE));
  const footer = end && decodeFooter(end.subarray(-FOOTER_SIZE), size);
  if (end === undefined || footer === undefined) return undefined;
  const tailSize = footer.headLength + FOOTER_SIZE;
  const tail = tailSize <= end.length ? end.subarray(-tailSize) : endOf(file, size, tailSize);
  const head = tail && decodeHead(tail.subarray(0, -FOOTER_SIZE), footer);
  if (head === undefined) return undefined;
  return { file: new CacheFile(path, size, footer.body), head, at: mtime?.getTime() ?? 0 };
}

function endOf(file: Deno.FsFile, size: number, count: number): Bytes | undefined {
  file.seekSync(size - count, Deno.SeekMode.Start);
  const bytes = new Uint8Array(count);
  return fill(file, bytes) ? bytes : undefined;
}

function fill(file: Deno.FsFile, bytes: Bytes): boolean {
  for (let at = 0; at < bytes.length;) {
    const count = file.readSync(bytes.subarray(at));
    if (count === null) return false;
    at += count;
  }
  return true;
}

function opened(path: string): Deno.FsFile | undefined {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
}

/** Writes one copy. Whoever begins one ends it, by `commit` or by `abort`. */
export class CacheFileWriter {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  #crc = 0;
  #length = 0;
  #tailSize = 0;
  #isOpen = true;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  /** `path`: the name of the whole copy; until then it has another one. */
  static async begin(path: string): Promise<CacheFileWriter> {
    const options = { createNew: true, write: true, mode: 0o600 };
    return new CacheFileWriter(path, await Deno.open(`${path}.part`, options));
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#crc = crc32(bytes, this.#crc);
    this.#length += bytes.length;
    await this.#write(bytes);
  }

  /** Writes the head, and sees to it that all lies on the disk: a name may outlive a power cut that data did not. */
  async finish(
    { url, status, headers, vary, isForAll, tags, ...times }: CacheFileHead,
  ): Promise<void> {
    const { bornAt, freshUntil, staleUntil, errorUntil } = times;
    const head = {
      url,
      status,
      headers,
      vary,
      isForAll,
      tags,
      bornAt,
      freshUntil,
      staleUntil,
      errorUntil,
    };
    const tail = encodeTail(head, { length: this.#length, crc: this.#crc });
    this.#tailSize = tail.length;
    await this.#write(tail);
    await this.#file.syncData();
  }

  /** Gives the finished copy its name, in one step. */
  commit(): CacheFile {
    this.#close();
    Deno.renameSync(`${this.#path}.part`, this.#path);
    const body = { length: this.#length, crc: this.#crc };
    return new CacheFile(this.#path, this.#length + this.#tailSize, body);
  }

  async abort(): Promise<void> {
    this.#close();
    await Deno.remove(`${this.#path}.part`).catch(() => {});
  }

  #close(): void {
    if (this.#isOpen) this.#file.close();
    this.#isOpen = false;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
  }
}
