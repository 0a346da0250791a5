/**
 * Range requests for bytes (RFC 9110 §14): which slices of a file the client asks for, and how several of
 * them are framed in one body (multipart/byteranges, §14.6).
 *
 * A field that cannot be read, or whose answer would cost more than the whole file is worth, is ignored,
 * as §14.2 and §17.15 allow: the whole is always a right answer.
 */
import type { ByteString } from "../exchange.ts";
import { bytesFromLatin1 } from "./http_fields.ts";

/** A slice of a file: from `start` up to and without `end`. Never empty. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export type RangeChoice =
  /** 200: everything. */
  | { readonly type: "whole" }
  /** 206: these, in the order in which they were asked for. Never empty. */
  | { readonly type: "slices"; readonly slices: readonly ByteRange[] }
  /** 416: all that is asked for lies past the end. */
  | { readonly type: "unsatisfiable" };

/** A document viewer asks for a few dozen at once; Apache allows 200. */
const MAX_RANGES = 100;

const WHOLE: RangeChoice = { type: "whole" };

/** Chooses what a Range field asks of a file of `size` bytes. */
export function chooseRanges(field: ByteString | null, size: number): RangeChoice {
  const set = field === null ? undefined : /^bytes=(.*)$/i.exec(field)?.[1];
  if (set === undefined) return WHOLE;
  const asked = parseSet(set, size);
  if (asked === undefined) return WHOLE;
  const slices = joined(asked);
  if (slices.length === 0) return { type: "unsatisfiable" };
  if (overlap(slices)) return WHOLE;
  return { type: "slices", slices };
}

/** The satisfiable ranges of a range-set (§14.1.1); undefined if it is malformed or too long. */
function parseSet(set: ByteString, size: number): ByteRange[] | undefined {
  const slices: ByteRange[] = [];
  let count = 0;
  for (const element of set.split(",")) {
    const spec = element.replace(/^[ \t]+|[ \t]+$/g, "");
    // §5.6.1: empty elements of a list are nothing.
    if (spec === "") continue;
    if (++count > MAX_RANGES) return undefined;
    const slice = parseSpec(spec, size);
    if (slice === undefined) return undefined;
    // The suffix of an empty file is all of it, which no Content-Range can say.
    if (slice === "whole") return undefined;
    if (slice !== "beyond") slices.push(slice);
  }
  return count === 0 ? undefined : slices;
}

function parseSpec(spec: ByteString, size: number): ByteRange | "beyond" | "whole" | undefined {
  const match = /^(\d*)-(\d*)$/.exec(spec);
  if (match === null) return undefined;
  const [, first = "", last = ""] = match;
  if (first === "") {
    if (last === "") return undefined;
    // §14.1.2: more than there is means all; nothing is not satisfiable.
    const length = Math.min(Number(last), size);
    if (Number(last) === 0) return "beyond";
    return size === 0 ? "whole" : { start: size - length, end: size };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return undefined;
  if (start >= size) return "beyond";
  return { start, end: last === "" ? size : Math.min(Number(last) + 1, size) };
}

/** Makes one of neighbours that follow each other without a gap (§15.3.7.2). */
function joined(slices: readonly ByteRange[]): ByteRange[] {
  const result: ByteRange[] = [];
  for (const slice of slices) {
    const last = result.at(-1);
    if (last?.end === slice.start) result.splice(-1, 1, { start: last.start, end: slice.end });
    else result.push(slice);
  }
  return result;
}

/** Whoever asks for the same bytes twice wants more than the file (§17.15). */
function overlap(slices: readonly ByteRange[]): boolean {
  const ordered = slices.toSorted((a, b) => a.start - b.start);
  return ordered.some((slice, at) => slice.start < (ordered[at - 1]?.end ?? 0));
}

/** Content-Range of a 206 (§14.4). */
export function contentRange({ start, end }: ByteRange, size: number): ByteString {
  return `bytes ${start}-${end - 1}/${size}`;
}

/** Content-Range of a 416 (§15.5.17). */
export function unsatisfiedRange(size: number): ByteString {
  return `bytes */${size}`;
}

/** A body of several slices: before each its head, at the end the tail. */
export interface Multipart {
  /** Its Content-Type. */
  readonly type: ByteString;
  /** Content-Length. */
  readonly length: number;
  /** What is sent, in order: bytes as they are, or a slice of the file. */
  readonly pieces: readonly (Uint8Array<ArrayBuffer> | ByteRange)[];
}

export interface Framing {
  readonly size: number;
  /** The file's Content-Type, if it has one. */
  readonly type: ByteString | undefined;
  /** Text that occurs in no slice: at most 70 letters and digits (RFC 2046 §5.1.1). */
  readonly boundary: string;
}

/** Frames slices as multipart/byteranges (§14.6). */
export function frameSlices(slices: readonly ByteRange[], framing: Framing): Multipart {
  const { size, type, boundary } = framing;
  const pieces: (Uint8Array<ArrayBuffer> | ByteRange)[] = [];
  const typeLine = type === undefined ? "" : `Content-Type: ${type}\r\n`;
  let lead = "";
  let length = 0;
  for (const slice of slices) {
    const range = `Content-Range: ${contentRange(slice, size)}\r\n`;
    const head = bytesFromLatin1(`${lead}--${boundary}\r\n${typeLine}${range}\r\n`);
    pieces.push(head, slice);
    length += head.length + slice.end - slice.start;
    lead = "\r\n";
  }
  const tail = bytesFromLatin1(`\r\n--${boundary}--\r\n`);
  pieces.push(tail);
  length += tail.length;
  return { type: `multipart/byteranges; boundary=${boundary}`, length, pieces };
}
