/** The registry: every name exported here is a handler key of routes.yaml. */
export { cgi } from "./cgi.ts";
export { fastcgi } from "./fastcgi.ts";
export { php } from "./php.ts";
export { proxy } from "./proxy.ts";
export { redirect } from "./redirect.ts";
export { respond } from "./respond.ts";
export { scgi } from "./scgi.ts";
export { static } from "./static.ts";
export { uwsgi } from "./uwsgi.ts";
export { wsgi } from "./wsgi.ts";
