/** The registry: every name exported here is a handler key of routes.yaml. */
export { cgi } from "./cgi.ts";
export { fastcgi } from "./fastcgi.ts";
export { redirect } from "./redirect.ts";
export { respond } from "./respond.ts";
export { wsgi } from "./wsgi.ts";
