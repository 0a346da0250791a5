/**
 * Responses of bytes that are sent over and over: a file that was read lately, a stored copy. The runtime
 * copies the bytes that it makes a Response of, but the clones of one share theirs: for 100 KiB that is a
 * third of the work, and a thousand slow clients hold the same bytes. So nobody may write to what they read
 * from one.
 */

type Bytes = Uint8Array<ArrayBuffer>;

export class ReadyResponses {
  /** The oldest first. */
  readonly #responses = new Map<Bytes, Response>();
  readonly #maxBytes: number;
  #bytes = 0;

  /** `maxBytes`: what is held in all, beside the bytes that it was made of. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** A response of these bytes, which nobody may write to: status 200, no fields, its caller's own. */
  of(bytes: Bytes): Response {
    const known = this.#responses.get(bytes);
    if (known !== undefined) return known.clone();
    const response = new Response(bytes);
    this.#responses.set(bytes, response);
    this.#bytes += bytes.length;
    for (const oldest of this.#responses.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#responses.delete(oldest);
      this.#bytes -= oldest.length;
    }
    return response.clone();
  }
}
