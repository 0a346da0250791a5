/** All suites, in the order of the report. */
import type { Suite } from "../model.ts";
import { cache } from "./cache.ts";
import { cgi } from "./cgi.ts";
import { fastcgi } from "./fastcgi.ts";
import { php } from "./php.ts";
import { proxy, upload } from "./proxy.ts";
import { flask, python } from "./python.ts";
import { routes } from "./routes.ts";
import { scgi } from "./scgi.ts";
import { start } from "./start.ts";
import { statics } from "./static.ts";
import { uwsgi } from "./uwsgi.ts";
import { workers } from "./workers.ts";
import { wsgi } from "./wsgi.ts";

export const SUITES: readonly Suite[] = [
  fastcgi,
  php,
  cgi,
  wsgi,
  python,
  flask,
  uwsgi,
  scgi,
  statics,
  proxy,
  upload,
  cache,
  routes,
  workers,
  start,
];
