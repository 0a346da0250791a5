/**
 * Ways to cut bytes into the chunks that a pipe or a socket may deliver. A codec must give the same
 * result for all of them.
 */

/** The whole, the single bytes, and every split in two; the first of these with empty chunks around. */
export function* cuts(
  bytes: Uint8Array<ArrayBuffer>,
): Generator<Uint8Array<ArrayBuffer>[], void, undefined> {
  const empty = bytes.subarray(0, 0);
  yield [bytes];
  yield [empty, bytes, empty];
  yield Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  for (let at = 1; at < bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
}

/**
 * The chunks, each in the same buffer that the next one overwrites, as a reused read buffer does: a
 * codec that keeps a view of a chunk is found out.
 */
export function* reusingBuffer(
  chunks: readonly Uint8Array<ArrayBuffer>[],
): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
  const buffer = new Uint8Array(Math.max(0, ...chunks.map((chunk) => chunk.length)));
  for (const chunk of chunks) {
    buffer.fill(0xff);
    buffer.set(chunk);
    yield buffer.subarray(0, chunk.length);
  }
}
