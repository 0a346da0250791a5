/** Byte streams, which is what the runtime makes of request bodies. */

type Bytes = Uint8Array<ArrayBuffer>;

/** A body that comes in these pieces; an Error breaks it off. */
export function byteStreamOf(...pieces: readonly (Bytes | Error)[]): ReadableStream<Bytes> {
  const left = [...pieces].filter((piece) => piece instanceof Error || piece.length > 0);
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      const piece = left.shift();
      if (piece === undefined) {
        controller.close();
        // A reader that waits with memory of its own gets it back only so.
        controller.byobRequest?.respond(0);
      } else if (piece instanceof Error) {
        controller.error(piece);
      } else {
        controller.enqueue(piece.slice());
      }
    },
  });
}

/** A body of which nothing ever comes. */
export function silentStream(cancel: () => void = () => {}): ReadableStream<Bytes> {
  return new ReadableStream({ type: "bytes", cancel });
}
