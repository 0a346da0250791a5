/** Answers with proof of its request: its id, the digest of its body, then as much as it asks for. */
import type { Application } from "../../../lib/protocol/wsgi.ts";

const UTF8 = new TextEncoder();

const application: Application = async (environ, startResponse) => {
  const query = new URLSearchParams(environ.QUERY_STRING);
  const id = query.get("id") ?? "";
  const body = new Uint8Array(await environ["wsgi.input"].read());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body)).toHex();
  startResponse("200 OK", [["Content-Type", "text/plain"], ["X-Proof", id]]);
  return reply(id, digest, query);
};
export default application;

async function* reply(id: string, digest: string, query: URLSearchParams) {
  const size = Number(query.get("size") ?? 0);
  const ticks = Number(query.get("ticks") ?? 0);
  yield UTF8.encode(`${id} ${digest}\n`);
  for (let tick = 1; tick <= ticks; tick++) {
    yield UTF8.encode(`${id} ${tick}\n`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (size > 0) yield UTF8.encode(id.repeat(size / id.length + 1).slice(0, size));
}
