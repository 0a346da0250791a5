/** An application and middleware that work here, and break the contract all the same. */
import type { Application, Middleware } from "../../lib/protocol/wsgi.ts";

/** Names of fields must not end in `_`, says wsgiref.validate. */
const application: Application = (_environ, startResponse) => {
  startResponse("200 OK", [["Content-Type", "text/plain"], ["X-Odd_", "1"]]);
  return [];
};
export default application;

/** Hides that fault from whoever stands further out. */
export const correcting: Middleware = (inner) => (environ, startResponse) =>
  inner(environ, (status, headers, excInfo) => {
    const right = headers.filter(([name]) => !name.endsWith("_"));
    return startResponse(status, right, excInfo);
  });

/** Forgets to give write() back. */
export const careless: Middleware = (inner) => (environ, startResponse) => {
  const start: unknown = (...said: Parameters<typeof startResponse>) => {
    startResponse(...said);
  };
  return inner(environ, start as typeof startResponse);
};
