/** Offsets into the file's text as people count: lines and columns from 1, columns in UTF-16 units. */

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Reports a fault at an offset into the text. */
export type Report = (offset: number, message: string) => void;

/** A function from offset to position; offsets outside the text become its nearest end. */
export function createLocator(text: string): (offset: number) => Position {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    const at = Math.min(Math.max(offset, 0), text.length);
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= at) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: at - (starts[low] ?? 0) + 1 };
  };
}
