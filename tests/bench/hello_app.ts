/** The smallest WSGI application. */
import type { Environ, StartResponse } from "../../lib/protocol/wsgi.ts";

const BODY = [new TextEncoder().encode("Hello, world!\n")];

export default function application(_environ: Environ, startResponse: StartResponse) {
  startResponse("200 OK", [["Content-Type", "text/plain"]]);
  return BODY;
}
