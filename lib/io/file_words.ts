/**
 * What header fields say of a file by itself: its validators and its length.
 *
 * Strategy: the same texts are given again as long as the file is the same. To write them costs little,
 * but the runtime takes half again as long to send a text that it has never seen.
 */
import type { ByteString } from "../exchange.ts";
import { formatHttpDate } from "../protocol/http_date.ts";

export interface FileWords {
  readonly etag: ByteString | undefined;
  /** Last-Modified, and the same in milliseconds. */
  readonly modified: ByteString | undefined;
  readonly modifiedMs: number | undefined;
  readonly length: ByteString;
}

interface Remembered {
  readonly info: Deno.FileInfo;
  readonly words: FileWords;
}

/** By path. Forgotten all at once: it is soon filled again by what matters. */
const remembered = new Map<string, Remembered>();
const MAX_REMEMBERED = 4096;

/** The words for a file, as it was seen just now. */
export function wordsOf(path: string, info: Deno.FileInfo): FileWords {
  const known = remembered.get(path);
  if (known !== undefined && isSameFile(known.info, info)) return known.words;
  const nowMs = Date.now();
  const modifiedMs = dateOf(info, nowMs);
  const words = {
    etag: tagOf(info),
    modified: modifiedMs === undefined ? undefined : formatHttpDate(modifiedMs),
    modifiedMs,
    length: String(info.size),
  };
  // What is from the future is dated anew each time.
  if ((info.mtime?.getTime() ?? 0) > nowMs) return words;
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(path, { info, words });
  return words;
}

/**
 * By time and size, as nginx and Apache make it, but to the millisecond. Not by inode: the same file on
 * two origins behind one CDN has to have the same tag.
 */
export function tagOf({ mtime, size }: Deno.FileInfo): ByteString | undefined {
  return mtime === null ? undefined : `"${mtime.getTime().toString(16)}-${size.toString(16)}"`;
}

/** Whole seconds, as fields can say them, and never later than the answer itself (RFC 9110 §8.8.2.1). */
function dateOf({ mtime }: Deno.FileInfo, nowMs: number): number | undefined {
  if (mtime === null) return undefined;
  const ms = Math.min(mtime.getTime(), nowMs);
  return ms - (ms % 1000);
}

/**
 * Whether two looks saw the same state of the same file. The change time cannot be set back, as `touch`
 * and `cp -p` set the other.
 */
export function isSameFile(a: Deno.FileInfo, b: Deno.FileInfo): boolean {
  return a.size === b.size && a.ino === b.ino && a.dev === b.dev &&
    a.mtime?.getTime() === b.mtime?.getTime() && a.ctime?.getTime() === b.ctime?.getTime();
}
