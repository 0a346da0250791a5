/** A request's body on its way to an HTTP origin: as it is where its length is known, else in chunks. */
import type { SizedBody } from "../exchange.ts";
import { ByteWriter } from "../protocol/byte_writer.ts";
import { CHUNK_TAIL, chunkHead, LAST_CHUNK } from "../protocol/http1_chunks.ts";
import type { OriginConnection } from "./http_origin_connection.ts";

/** Bodies up to this many bytes, if they lie in memory, travel in the first write. */
export const SHORT_BODY = 65_536;

/** Sends the body. False: the origin is gone, or `over` says that nobody wants the rest. */
export async function feedOrigin(
  connection: OriginConnection,
  body: SizedBody,
  over: () => boolean,
): Promise<boolean> {
  // What lies in memory is not used up: the request may have to be sent again.
  if (body.bytes !== undefined) return await connection.send(body.bytes);
  const chunks = body.length === undefined ? new ByteWriter() : undefined;
  let due = body.length ?? Infinity;
  // Where the length is known the last byte is the end: the response may be here before the reader says so.
  while (due > 0) {
    const piece = await body.read(true);
    if (piece === undefined || over()) break;
    due -= piece.length;
    const bytes = chunks === undefined ? piece : inChunk(chunks, piece);
    if (!await connection.send(bytes)) return false;
  }
  return !over() && (chunks === undefined || await connection.send(LAST_CHUNK));
}

function inChunk(writer: ByteWriter, piece: Uint8Array): Uint8Array {
  writer.append(chunkHead(piece.length));
  writer.append(piece);
  writer.append(CHUNK_TAIL);
  return writer.take();
}
