/**
 * The page that lists a folder, for people who look around: names, sizes and times, nothing that would be
 * refused if it were asked for, and not one resource besides the page itself.
 */
import type { ByteString, Reply } from "../exchange.ts";
import { byteString, textOf } from "../protocol/latin1.ts";
import { encodePath } from "../protocol/cgi_path.ts";
import type { FileTree } from "./file_tree.ts";
import { shortageOf } from "./shortage.ts";

/** More is of no use to people, and each takes a look at the disk. */
const MAX_ENTRIES = 5000;

interface Entry {
  readonly name: string;
  readonly isFolder: boolean;
  readonly size: number;
  readonly modified: Date | null;
}

/** Lists a folder of the tree. `place` is its path in the tree, `path` the one that was asked for. */
export function listFolder(
  tree: FileTree,
  { folder, place, path }: { folder: string; place: ByteString; path: ByteString },
): Reply {
  const names = namesIn(folder);
  const entries = names.slice(0, MAX_ENTRIES)
    .map((name) => entryOf(tree, place, name))
    .filter((entry) => entry !== undefined)
    .sort((a, b) => Number(b.isFolder) - Number(a.isFolder) || compare(a.name, b.name));
  const bytes = UTF8.encode(pageOf(textOf(path), entries, names.length - MAX_ENTRIES));
  return {
    type: "reply",
    status: 200,
    headers: [
      ["content-type", "text/html; charset=utf-8"],
      ["content-length", String(bytes.length)],
      // What changes with every file has no validator that is cheaper than itself.
      ["cache-control", "no-cache"],
      ["content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"],
      ["x-content-type-options", "nosniff"],
    ],
    body: bytes,
  };
}

const UTF8 = new TextEncoder();
const { compare } = new Intl.Collator("en", { numeric: true });

function namesIn(folder: string): readonly string[] {
  try {
    return Array.from(Deno.readDirSync(folder), ({ name }) => name);
  } catch (error) {
    throw shortageOf(error, `list ${folder}`) ?? error;
  }
}

/** Undefined: whoever asked for it would not get it. */
function entryOf(tree: FileTree, place: ByteString, name: string): Entry | undefined {
  const found = tree.find(place + byteString(name));
  if (found.type === "nothing") return undefined;
  if (found.type === "folder") return { name, isFolder: true, size: 0, modified: null };
  return { name, isFolder: false, size: found.info.size, modified: found.info.mtime };
}

function pageOf(path: string, entries: readonly Entry[], more: number): string {
  const title = `Index of ${escape(path)}`;
  const up = path === "/" ? "" : `<tr><td><a href="../">../</a><td><td>\n`;
  const rest = more > 0 ? `<p>and ${more} more</p>\n` : "";
  return `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.2rem; overflow-wrap: anywhere }
table { width: 100%; border-collapse: collapse }
td, th { padding: .15rem .5rem; text-align: left; border-top: 1px solid #8884 }
td:first-child { overflow-wrap: anywhere }
td:nth-child(2), th:nth-child(2) { text-align: right }
td:nth-child(n + 2) { white-space: nowrap; font-variant-numeric: tabular-nums }
</style>
<h1>${title}</h1>
<table>
<thead><tr><th>Name<th>Size<th>Modified
<tbody>
${up}${entries.map(rowOf).join("")}</table>
${rest}`;
}

/** With `./`, or a name such as `a:b` would be read as a scheme. */
function rowOf({ name, isFolder, size, modified }: Entry): string {
  const slash = isFolder ? "/" : "";
  const href = `./${encodePath(byteString(name))}${slash}`;
  const time = modified === null ? "" : modified.toISOString().slice(0, 16).replace("T", " ");
  const bytes = isFolder ? "" : sizeOf(size);
  return `<tr><td><a href="${escape(href)}">${escape(name)}${slash}</a><td>${bytes}<td>${time}\n`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

function sizeOf(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${UNITS[unit]}`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
