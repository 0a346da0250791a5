/** The smallest WSGI application, and the smallest fetch handler. */
import type { Environ, StartResponse } from "../../../lib/protocol/wsgi.ts";

const TEXT = new TextEncoder().encode("Hello, world!\n");
const BODY = [TEXT];

export default function application(_environ: Environ, startResponse: StartResponse) {
  startResponse("200 OK", [["Content-Type", "text/plain"]]);
  return BODY;
}

export const fetching = {
  fetch: () => new Response(TEXT, { headers: { "content-type": "text/plain" } }),
};
