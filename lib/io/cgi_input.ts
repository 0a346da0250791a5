/** The request's body on its way into a CGI program, which need not read it (RFC 3875 §4.2). */
import { ClientGone, GatewayError } from "../errors.ts";
import type { SizedBody } from "../exchange.ts";

/**
 * Writes the body and closes the program's input. A program that does not read is no fault. A body that
 * breaks off leaves the input open until the program is `gone`, which is for the caller to see to: to the
 * program its end would be the body's, and the upload whole.
 * @throws {GatewayError} what is wrong with the body as it arrives.
 * @throws {ClientGone} when it does not arrive whole.
 */
export async function feed(
  input: WritableStream<Uint8Array>,
  body: SizedBody,
  gone: Promise<unknown>,
): Promise<void> {
  const stdin = input.getWriter();
  try {
    // A piece is in the pipe when its write has ended: the next may take its memory.
    let piece = await body.read(true);
    for (; piece !== undefined; piece = await body.read(true)) await stdin.write(piece);
    await stdin.close();
  } catch (error) {
    const isBroken = error instanceof ClientGone || error instanceof GatewayError;
    const given = (isBroken ? gone : Promise.resolve()).then(() => stdin.abort());
    given.catch(() => {});
    if (isBroken) throw error;
    await given.catch(() => {});
  } finally {
    body.close();
  }
}
