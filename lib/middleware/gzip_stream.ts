/**
 * A gzip stream that is flushed after each piece: whatever went in can be read at the other end.
 *
 * The platform's CompressionStream flushes with every write, though no standard asks for it. A piece
 * that stays inside all the same is not waited for: it comes with the next.
 */
type Bytes = Uint8Array<ArrayBuffer>;
type Step = ReadableStreamReadResult<Uint8Array>;

const NOTHING: Bytes = new Uint8Array();

export class GzipStream {
  readonly #writer: WritableStreamDefaultWriter<BufferSource>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #next: Promise<Step> | undefined;

  constructor() {
    const { writable, readable } = new CompressionStream("gzip");
    this.#writer = writable.getWriter();
    this.#reader = readable.getReader();
  }

  /** Takes a piece in; gives what comes out for it. */
  async push(piece: Uint8Array): Promise<Uint8Array> {
    const written = this.#writer.write(new Uint8Array(piece)).then(() => undefined);
    this.#next ??= this.#reader.read();
    // A value is handed to the reader before the write counts as done, so it wins if there is one.
    const step = await Promise.race([this.#next, written]);
    if (step === undefined) return NOTHING;
    this.#next = undefined;
    await written;
    return step.value ?? NOTHING;
  }

  /** What is left when nothing more goes in. */
  async end(): Promise<Uint8Array> {
    const closed = this.#writer.close();
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (;;) {
      const step: Step = await (this.#next ?? this.#reader.read());
      this.#next = undefined;
      if (step.done) break;
      parts.push(new Uint8Array(step.value));
    }
    await closed;
    return await new Blob(parts).bytes();
  }

  /** The rest is not wanted. */
  abandon(): void {
    this.#writer.abort().catch(() => {});
    this.#next?.catch(() => {});
    this.#reader.cancel().catch(() => {});
  }
}
