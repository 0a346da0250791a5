/** The request's body on its way into a CGI program, which need not read it (RFC 3875 §4.2). */
import { ClientGone, GatewayError } from "../errors.ts";
import type { SizedBody } from "../exchange.ts";

/**
 * Writes the body and closes the program's input. A program that does not read is no fault.
 * @throws {GatewayError} what is wrong with the body as it arrives.
 * @throws {ClientGone} when it does not arrive whole.
 */
export async function feed(input: WritableStream<Uint8Array>, body: SizedBody): Promise<void> {
  const stdin = input.getWriter();
  try {
    // A piece is in the pipe when its write has ended: the next may take its memory.
    let piece = await body.read(true);
    for (; piece !== undefined; piece = await body.read(true)) await stdin.write(piece);
    await stdin.close();
  } catch (error) {
    await stdin.abort().catch(() => {});
    if (error instanceof ClientGone || error instanceof GatewayError) throw error;
  } finally {
    body.close();
  }
}
