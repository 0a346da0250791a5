/**
 * Collects a body before anything is started for it: in memory up to 1 MiB, then in a temporary file.
 *
 * Strategy: each read goes straight to its place in a block, and blocks go to the file whole, one being
 * written while the other fills; the event loop never waits for the disk.
 */
import type { SizedBody } from "../exchange.ts";
import { type IncomingBody, PIECE } from "./incoming_body.ts";
import type { Spool, SpoolFile } from "./spool.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const MEMORY_LIMIT = 2 ** 20;
/** For a body of unknown length. */
const FIRST_READ = 16_384;
const BLOCK = 4 * PIECE;

export async function collect(incoming: IncomingBody, spool: Spool): Promise<SizedBody> {
  try {
    const head = await gather(incoming);
    if (head.length <= MEMORY_LIMIT) return new BodyInMemory(head);
    return await spill(incoming, head, spool);
  } catch (error) {
    incoming.close();
    throw error;
  }
}

/** The whole body, or more of it than may stay in memory. */
async function gather(incoming: IncomingBody): Promise<Bytes> {
  // One byte more than is expected, for the end to be read into.
  let memory: Bytes = new Uint8Array(Math.min(PIECE, (incoming.length ?? FIRST_READ) + 1));
  let length = 0;
  while (length <= MEMORY_LIMIT) {
    if (length === memory.length) memory = enlarged(memory);
    const piece = await incoming.fill(memory.subarray(length, length + PIECE));
    memory = new Uint8Array(piece.buffer);
    if (piece.length === 0) break;
    length += piece.length;
  }
  return memory.subarray(0, length);
}

function enlarged(memory: Bytes): Bytes {
  const larger = new Uint8Array(Math.min(4 * memory.length, MEMORY_LIMIT + 1));
  larger.set(memory);
  return larger;
}

async function spill(incoming: IncomingBody, head: Bytes, spool: Spool): Promise<SizedBody> {
  const file = await spool.create();
  let writing = append(file, head);
  let [filling, resting] = [new ArrayBuffer(BLOCK), new ArrayBuffer(BLOCK)];
  try {
    for (;;) {
      const block = await fillBlock(incoming, filling);
      await writing;
      if (block.length === 0) break;
      writing = append(file, block);
      [filling, resting] = [resting, block.buffer];
    }
    await file.rewind();
    return new BodyInFile(file);
  } catch (error) {
    await Promise.allSettled([writing]);
    file.close();
    throw error;
  }
}

/** Its failure counts when it is waited for, which may be later. */
function append(file: SpoolFile, bytes: Bytes): Promise<void> {
  const writing = file.append(bytes);
  writing.catch(() => {});
  return writing;
}

/** A full block; less at the end, and nothing after it. */
async function fillBlock(incoming: IncomingBody, memory: ArrayBuffer): Promise<Bytes> {
  let block = new Uint8Array(memory);
  let length = 0;
  while (length < block.length) {
    const piece = await incoming.fill(block.subarray(length, length + PIECE));
    block = new Uint8Array(piece.buffer);
    if (piece.length === 0) break;
    length += piece.length;
  }
  return block.subarray(0, length);
}

class BodyInMemory implements SizedBody {
  readonly length: number;
  #read = false;
  constructor(readonly bytes: Uint8Array) {
    this.length = bytes.length;
  }
  read(): Promise<Uint8Array | undefined> {
    const rest = this.#read || this.length === 0 ? undefined : this.bytes;
    this.#read = true;
    return Promise.resolve(rest);
  }
  close(): void {}
}

/** A block is read ahead of the one that is being handed out. */
class BodyInFile implements SizedBody {
  readonly length: number;
  readonly bytes = undefined;
  readonly #file: SpoolFile;
  #block: Bytes = new Uint8Array(0);
  #at = 0;
  #ahead: Promise<Bytes | undefined> | undefined;

  constructor(file: SpoolFile) {
    this.#file = file;
    this.length = file.length;
  }

  async read(borrow = false): Promise<Bytes | undefined> {
    if (this.#at === this.#block.length && !await this.#turn()) return undefined;
    // Pipes take no more at once, and a longer write would wait for room in them.
    const piece = this.#block.subarray(this.#at, this.#at + PIECE);
    this.#at += piece.length;
    return borrow ? piece : piece.slice();
  }

  close(): void {
    this.#file.close();
  }

  async #turn(): Promise<boolean> {
    const next = await (this.#ahead ?? this.#file.read(new Uint8Array(BLOCK)));
    if (next === undefined) {
      this.close();
      return false;
    }
    const spare = this.#block.length === 0 ? new ArrayBuffer(BLOCK) : this.#block.buffer;
    this.#ahead = this.#file.read(new Uint8Array(spare));
    this.#ahead.catch(() => {});
    [this.#block, this.#at] = [next, 0];
    return true;
  }
}
