/**
 * Copies of short pieces that lie in a buffer which is about to be read into again. Memory of their own
 * costs half a microsecond each, ten times as much as the copying: so they share it.
 */

type Bytes = Uint8Array<ArrayBuffer>;

const SLAB_SIZE = 65_536;
/** Longer ones get memory of their own. */
const SHORT = 4096;

let slab: Bytes = new Uint8Array(SLAB_SIZE);
let end = 0;

/** A copy, for what goes out whole: of a stream's pieces the runtime takes the memory with them. */
export function copyOf(bytes: Uint8Array): Bytes {
  const { length } = bytes;
  if (length > SHORT) return bytes.slice();
  if (end + length > SLAB_SIZE) {
    slab = new Uint8Array(SLAB_SIZE);
    end = 0;
  }
  const copy = slab.subarray(end, end + length);
  copy.set(bytes);
  end += length;
  return copy;
}
