/**
 * The welcome page as an inline WSGI application: the calling convention of PEP 3333, with a module's
 * default export as the application.
 */
import type { Application } from "../protocol/wsgi.ts";
import { documentHeaders } from "./document.ts";
import { renderWelcome } from "./page.ts";

const application: Application = (environ, startResponse) => {
  const body = renderWelcome({
    routes: environ["portico.routes"],
    here: environ.SCRIPT_NAME + environ.PATH_INFO,
    environ: Object.entries(environ),
    software: String(environ["SERVER_SOFTWARE"] ?? "Portico"),
  });
  startResponse("200 OK", documentHeaders(body.length));
  return [body];
};

export default application;
