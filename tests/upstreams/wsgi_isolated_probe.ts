/**
 * The probe of wsgi_probe.ts for a worker, whose memory nobody else sees: while a play goes on, a file
 * of its own lies in the folder PLAYS, beginning with the port of its server.
 */
import type { Application } from "../../lib/protocol/wsgi.ts";
import probe from "./wsgi_probe.ts";

const application: Application = async function* (environ, startResponse) {
  const file = `${environ["PLAYS"]}/${environ.SERVER_PORT}-${crypto.randomUUID()}`;
  Deno.writeTextFileSync(file, "");
  try {
    yield* await probe(environ, startResponse);
  } finally {
    Deno.removeSync(file);
  }
};
export default application;
