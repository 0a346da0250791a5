/**
 * Reads a request's body into memory that is lent to it. The runtime gives long bodies as byte streams,
 * which do just that; one that had arrived with the head is a plain stream, and its piece is copied.
 */
type Bytes = Uint8Array<ArrayBuffer>;

export interface BodyReader {
  /** The memory comes back with what was read; with nothing, at the end. */
  read(view: Bytes): Promise<{ readonly done: boolean; readonly value?: Bytes | undefined }>;
  cancel(): Promise<void>;
}

/** For a short body a copy costs less than finding out. */
const SHORT = 65_536;

/** @param length What was promised. */
export function readerOf(body: ReadableStream<Bytes>, length: number | undefined): BodyReader {
  // Chunked bodies have been seen to stall when read into lent memory; why is not known yet.
  if (length === undefined || length <= SHORT) return new PlainReader(body);
  try {
    return body.getReader({ mode: "byob" });
  } catch {
    return new PlainReader(body);
  }
}

class PlainReader implements BodyReader {
  readonly #reader: ReadableStreamDefaultReader<Bytes>;
  #rest: Bytes | undefined;

  constructor(body: ReadableStream<Bytes>) {
    this.#reader = body.getReader();
  }

  async read(view: Bytes) {
    while (this.#rest === undefined || this.#rest.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return { done, value: view.subarray(0, 0) };
      this.#rest = value;
    }
    const piece = this.#rest.subarray(0, view.length);
    this.#rest = this.#rest.subarray(piece.length);
    view.set(piece);
    return { done: false, value: view.subarray(0, piece.length) };
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}
