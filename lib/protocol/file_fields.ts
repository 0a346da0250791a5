/**
 * The fields by which a program asks the server before it to send a file in its stead. They are between
 * the two: no client gets to see them, for they tell where files lie.
 */
import type { FileRequest } from "../exchange.ts";

/** By name in lower case: nginx's, those of Apache's mod_xsendfile and of lighttpd. */
export const FILE_FIELDS: ReadonlyMap<string, FileRequest["by"]> = new Map<
  string,
  FileRequest["by"]
>([
  ["x-accel-redirect", "path"],
  ["x-sendfile", "name"],
  ["x-lighttpd-send-file", "name"],
]);

/** Whether the field only steers nginx: its buffers, its cache, its rate. */
export function isAccelField(name: string): boolean {
  return /^x-accel-/i.test(name);
}
