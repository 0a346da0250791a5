/**
 * Files that a program asks to have sent in its stead (X-Sendfile, X-Accel-Redirect), out of the folders
 * that its route opens for it: a wrapper around any service whose replies come from a program.
 *
 * A program may be talked into naming a file that it should not. So what it names has to lie in one of
 * the folders once links are resolved, has to be a regular file, and no part of its name below the folder
 * may begin with a dot. Whatever fails is a 404 to the client; the log has the reason.
 */
import { GatewayError, ProtocolError } from "../errors.ts";
import {
  type ByteString,
  type Exchange,
  type FileRequest,
  type HeaderPair,
  type Outcome,
  plainPath,
  type Reply,
} from "../exchange.ts";
import type { RouteOptions, Service, ServiceLog } from "../handler.ts";
import { byteString, textOf } from "../protocol/latin1.ts";
import { decodeTarget, isFileName } from "../protocol/cgi_path.ts";
import { forbidsBody, quoteBytes } from "../protocol/http_fields.ts";
import { resolvePath } from "../values.ts";
import { discard } from "./discard.ts";
import { fileReply, type FoundFile } from "./file_reply.ts";
import { RealFolder } from "./real_folder.ts";

interface Entry {
  /** What a path has to begin with: decoded, with a slash at both ends. */
  readonly prefix: ByteString;
  readonly folder: RealFolder;
}

/** The folders that a route's programs may send files from. */
export class FileFolders {
  /** The longest prefix first. */
  readonly #entries: readonly Entry[];

  /** `base` is what relative names start from. Throws if a folder does not exist. */
  constructor(folders: NonNullable<RouteOptions["sendfile"]>, base: string) {
    this.#entries = Object.entries(folders)
      .map(([prefix, name]) => ({
        prefix: byteString(prefix),
        folder: openFolder(resolvePath(name, base)),
      }))
      .sort((a, b) => b.prefix.length - a.prefix.length);
  }

  /**
   * The file that a program asks for.
   * @throws {GatewayError} 404 `sendfile-outside`, `sendfile-hidden`, `sendfile-missing` or
   * `sendfile-no-file`.
   * @throws {ProtocolError} `bad-sendfile`: no path at all.
   */
  find({ by, value }: FileRequest): FoundFile {
    return by === "path" ? this.#findPath(value) : this.#findName(value);
  }

  /** X-Accel-Redirect: a path under one of the prefixes, percent-encoded; a query means nothing. */
  #findPath(value: ByteString): FoundFile {
    const path = decodePath(value);
    const entry = this.#entries.find(({ prefix }) => path.startsWith(prefix));
    if (entry === undefined) {
      throw refusal("outside", `No prefix of sendfile takes ${quoteBytes(path)}`);
    }
    const rest = path.slice(entry.prefix.length);
    for (const segment of rest.split("/")) {
      if (segment.startsWith(".")) throw refusal("hidden", `${quoteBytes(path)} names a dot-file`);
      if (!isFileName(segment)) throw refusal("no-file", `${quoteBytes(path)} names no file`);
    }
    const file = textOf(rest);
    if (byteString(file) !== rest) throw refusal("missing", `${quoteBytes(path)} is no UTF-8`);
    return look(`${entry.folder.name}/${file}`, [entry.folder]);
  }

  /**
   * X-Sendfile: an absolute file name. Some libraries write it as it is, others percent-encoded, as
   * lighttpd and mod_xsendfile decode it; the literal name comes first.
   */
  #findName(value: ByteString): FoundFile {
    if (!value.startsWith("/")) {
      throw refusal("outside", `${quoteBytes(value)} is no absolute file name`);
    }
    const folders = this.#entries.map(({ folder }) => folder);
    const name = textOf(value);
    const decoded = decodeEscapes(name);
    try {
      return look(name, folders);
    } catch (error) {
      if (decoded === undefined) throw error;
      return look(decoded, folders);
    }
  }
}

function openFolder(name: string): RealFolder {
  try {
    return new RealFolder(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`The folder ${name} of sendfile does not exist`, { cause: error });
  }
}

/** Decodes what nginx takes: escapes for any byte, slashes too, and bytes that should be escapes. */
function decodePath(value: ByteString): ByteString {
  if (!value.startsWith("/")) throw refusal("outside", `${quoteBytes(value)} is no path`);
  const target = value.replace(
    /[^\x21-\x7e]|#/g,
    (byte) => "%" + byte.charCodeAt(0).toString(16).padStart(2, "0"),
  );
  try {
    return plainPath(decodeTarget(target).path);
  } catch {
    // The client asked for nothing wrong: what would be a 400 to it is the program's fault here.
    const message = `Cannot read ${quoteBytes(value)} as a path to a file`;
    throw new ProtocolError("bad-sendfile", message);
  }
}

/** Undefined: there is nothing to decode, or no text comes out of it. */
function decodeEscapes(name: string): string | undefined {
  if (!name.includes("%")) return undefined;
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

/** Looks at a file; it has to lie in one of the folders. */
function look(file: string, folders: readonly RealFolder[]): FoundFile {
  try {
    const real = Deno.realPathSync(file);
    const place = placeIn(folders, real);
    if (place === undefined) throw refusal("outside", `${file} leads to ${real}, outside sendfile`);
    const { folder, inside } = place;
    if (inside.includes("/.")) throw refusal("hidden", `${file} leads to ${real}, a dot-file`);
    // By the folder's own name: permissions are granted by it, even if it is a link.
    const path = folder.name + inside;
    const info = Deno.statSync(path);
    if (!info.isFile) throw refusal("no-file", `${path} is no regular file`);
    return { path, name: file, info };
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    if (error instanceof Deno.errors.NotCapable) {
      throw refusal("outside", `${file} is nothing that the gateway may read`);
    }
    const why = error instanceof Error ? error.message : String(error);
    throw refusal("missing", `Cannot look at ${file}: ${why}`);
  }
}

interface Place {
  readonly folder: RealFolder;
  readonly inside: string;
}

function placeIn(folders: readonly RealFolder[], real: string): Place | undefined {
  for (const folder of folders) {
    const inside = folder.placeOf(real);
    if (inside !== undefined) return { folder, inside };
  }
  return undefined;
}

function refusal(why: "outside" | "hidden" | "missing" | "no-file", message: string): GatewayError {
  return new GatewayError(404, `sendfile-${why}`, message);
}

/** The service, with the files in place of the replies that ask for them. */
export function withSendfile(service: Service, folders: FileFolders, log: ServiceLog): Service {
  return {
    timeoutMs: service.timeoutMs,
    async serve(exchange, mount): Promise<Outcome> {
      const outcome = await service.serve(exchange, mount);
      if (outcome.type !== "reply" || outcome.file === undefined) return outcome;
      return sendFile(outcome, outcome.file, exchange);
    },
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };

  function sendFile(reply: Reply, request: FileRequest, exchange: Exchange): Reply {
    const { status, body } = reply;
    // A 304 of the program's own making has no body to replace.
    if (forbidsBody(status)) return { type: "reply", status, headers: reply.headers, body };
    discard(body, "A file is sent in this reply's stead");
    try {
      const headers = reply.headers.filter(isAboutFile);
      return fileReply(folders.find(request), exchange, { status, headers });
    } catch (error) {
      // The access log has the 404 alone, and it is the program that has to be mended.
      if (error instanceof GatewayError && error.status < 500) note(error, exchange);
      throw error;
    }
  }

  function note({ status, failure, message }: GatewayError, exchange: Exchange): void {
    if (status === 403 || status === 404) log.notice(`${failure}: ${message}`, exchange.id);
  }
}

/** What describes the body that is not sent does not describe the file. */
function isAboutFile([name]: HeaderPair): boolean {
  return name.toLowerCase() !== "content-encoding";
}
