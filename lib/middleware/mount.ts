/**
 * Applications below one another: by the first segments of PATH_INFO, which move to SCRIPT_NAME, so that
 * each application finds itself at its own root (PEP 3333, "environ Variables" and "URL Reconstruction").
 */
import type { Application, Middleware } from "../protocol/wsgi.ts";
import { answer, byteString } from "./text.ts";

/** Applications by prefix: `/api`, `/api/v2`. */
export type Mounts = Readonly<Record<string, Application>>;

/**
 * Gives to each application what is below its prefix, the longest that fits, by whole segments; what is
 * below none goes to the application inside.
 */
export function mount(mounts: Mounts): Middleware {
  const places = Object.entries(mounts).map(([prefix, application]) => {
    if (!/^(\/[^/]+)+$/.test(prefix)) {
      throw new TypeError(`Cannot mount at ${JSON.stringify(prefix)}: write "/name"`);
    }
    return { prefix: byteString(prefix), application };
  });
  places.sort((one, other) => other.prefix.length - one.prefix.length);
  return (inside) => (environ, startResponse) => {
    const path = environ.PATH_INFO;
    const place = places.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`));
    if (place === undefined) return inside(environ, startResponse);
    environ.SCRIPT_NAME += place.prefix;
    environ.PATH_INFO = path.slice(place.prefix.length);
    return place.application(environ, startResponse);
  };
}

/** An application made of others; 404 where there is none. */
export function dispatch(mounts: Mounts): Application {
  return mount(mounts)((_environ, startResponse) => answer(startResponse, "404 Not Found"));
}
