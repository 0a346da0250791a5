/** Asks for the file that its request names, in the manner of a framework behind nginx. */
import type { Application } from "../../lib/protocol/wsgi.ts";

const application: Application = (environ, startResponse) => {
  startResponse("200 OK", [
    ["Content-Type", "text/x-mine"],
    ["X-Accel-Buffering", "no"],
    ["X-Accel-Redirect", `/protected${environ["PATH_INFO"]}`],
  ]);
  return [new TextEncoder().encode("own body")];
};
export default application;
