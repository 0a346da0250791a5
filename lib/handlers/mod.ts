/**
 * The registry: each key is a handler key of routes.yaml. A kind is loaded, with all that it needs, when a
 * table names it: what no route uses takes no time at start and no memory.
 */
export const registry = {
  cgi: async () => (await import("./cgi.ts")).cgi,
  fastcgi: async () => (await import("./fastcgi.ts")).fastcgi,
  php: async () => (await import("./php.ts")).php,
  proxy: async () => (await import("./proxy.ts")).proxy,
  redirect: async () => (await import("./redirect.ts")).redirect,
  respond: async () => (await import("./respond.ts")).respond,
  scgi: async () => (await import("./scgi.ts")).scgi,
  static: async () => (await import("./static.ts")).static,
  uwsgi: async () => (await import("./uwsgi.ts")).uwsgi,
  wsgi: async () => (await import("./wsgi.ts")).wsgi,
};
