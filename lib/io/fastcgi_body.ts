/**
 * The body of a FastCGI reply that was not whole when its head was: what follows is gathered for as long
 * as it comes without waiting, for most pages are a few writes, one behind the other, and a stream for
 * them would cost twice as much as all the rest. What takes longer is given out as it comes.
 *
 * Source: FastCGI Specification 1.0; section numbers are its own.
 */
import { ProtocolError } from "../errors.ts";
import type { ByteSource } from "../exchange.ts";
import type { FcgiLink } from "./fastcgi_connection.ts";
import type { FcgiReply } from "./fastcgi_reply.ts";
import { giveBack } from "./taken.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const NOTHING: Bytes = new Uint8Array(0);
/** Bodies up to this many bytes are worth waiting a turn for each next piece. */
const MAX_GATHERED = 65_536;
/** How long END_REQUEST may follow the end of STDOUT. */
const END_GRACE_MS = 1000;

/** What the body needs of the conversation that it is part of. */
export interface BodyOptions {
  /** Bytes that the head promised; undefined: no promise. */
  readonly due: number | undefined;
  /** Nobody wants the rest. */
  abort(reason: Error): void;
  /** Gives the connection back; may be called repeatedly. */
  release(complete: boolean): void;
}

export class FcgiBody implements ByteSource {
  readonly #link: FcgiLink;
  readonly #reply: FcgiReply;
  readonly #options: BodyOptions;
  /** What came early, before anybody asked. */
  #early: Bytes = NOTHING;
  /** A read that was begun early. */
  #begun: Promise<Bytes | undefined> | undefined;
  /** The piece that was given out last. */
  #taken: Bytes | undefined;
  /** Promised bytes that are still to be given out. */
  #due: number | undefined;

  constructor(link: FcgiLink, reply: FcgiReply, options: BodyOptions) {
    this.#link = link;
    this.#reply = reply;
    this.#options = options;
    this.#due = options.due;
  }

  /** The whole body, if it comes at once; undefined: it is to be read. `rest` came with the head. */
  async gather(rest: Bytes): Promise<Bytes | undefined> {
    let memory = spare.pop() ?? new Uint8Array(MEMORY_SIZE);
    if (rest.length > memory.length) memory = new Uint8Array(rest.length);
    memory.set(rest);
    let size = rest.length;
    while (!this.#isOver && size <= MAX_GATHERED) {
      const piece = await this.#comesNow();
      if (piece === undefined) break;
      if (size + piece.length > memory.length) memory = grown(memory, size + piece.length);
      memory.set(piece, size);
      size += piece.length;
    }
    const body = memory.slice(0, size);
    if (spare.length < MAX_SPARE && memory.length === MEMORY_SIZE) spare.push(memory);
    if (this.#reply.ended) {
      this.#options.release(true);
      return body;
    }
    this.#early = body;
    return undefined;
  }

  async read(): Promise<Bytes | undefined> {
    const early = this.#early;
    this.#early = NOTHING;
    if (early.length > 0) return this.#count(early);
    while (this.#begun !== undefined || !this.#isOver) {
      giveBack(this.#taken);
      this.#taken = undefined;
      const piece = await this.#receive();
      if (piece === undefined) return this.#end();
      if (piece.length > 0) {
        this.#link.keepBuffer();
        this.#taken = piece;
        return this.#count(piece);
      }
    }
    if (this.#reply.ended) this.#options.release(true);
    else this.#awaitEnd();
    return undefined;
  }

  cancel(reason: Error): void {
    this.#options.abort(reason);
    this.#options.release(false);
  }

  get #isOver(): boolean {
    return this.#reply.ended || this.#reply.stdoutEnded;
  }

  async #receive(): Promise<Bytes | undefined> {
    const reading = this.#begun ?? this.#reply.receive();
    this.#begun = undefined;
    try {
      return await reading;
    } catch (error) {
      this.#options.release(false);
      throw error;
    }
  }

  /** The next piece if a turn of the event loop brings it. If not, or if it is the last, {@link read} does. */
  async #comesNow(): Promise<Bytes | undefined> {
    let piece: Bytes | undefined;
    const reading = this.#reply.receive();
    this.#begun = reading;
    reading.then((bytes) => piece = bytes, () => {});
    await new Promise((resolve) => setImmediate(resolve));
    if (piece !== undefined) this.#begun = undefined;
    return piece;
  }

  /** The connection ended, and the request had not. */
  #end(): undefined {
    this.#options.release(false);
    if (this.#due === 0) return undefined;
    throw new ProtocolError(
      "reply-cut",
      `${this.#reply.where} closed before the reply was whole`,
    );
  }

  #count(piece: Bytes): Bytes {
    if (this.#due !== undefined) this.#due = Math.max(0, this.#due - piece.length);
    return piece;
  }

  /** STDOUT has ended but the request has not: lets the application finish, for a while. */
  async #awaitEnd(): Promise<void> {
    const timer = setTimeout(() => this.#link.close(), END_GRACE_MS);
    let complete = false;
    try {
      while (!this.#reply.ended && await this.#reply.receive() !== undefined);
      complete = this.#reply.ended;
    } catch {
      // What came was no end of this request: the connection goes, the reply was whole.
    }
    clearTimeout(timer);
    this.#options.release(complete);
  }
}

/** Where pieces are put together: new memory for each costs more than the work. */
const spare: Bytes[] = [];
const MAX_SPARE = 16;
const MEMORY_SIZE = 2 * MAX_GATHERED;

function grown(memory: Bytes, size: number): Bytes {
  const larger = new Uint8Array(size);
  larger.set(memory);
  return larger;
}
