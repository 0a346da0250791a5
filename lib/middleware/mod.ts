/**
 * All that a module for the `wsgi` kind may import, by one path: the types of the contract, the
 * middleware that comes with Portico, the validator, and the adapters to and from fetch handlers.
 */
export type * from "../protocol/wsgi.ts";
export { fromFetch, toFetch } from "../protocol/wsgi_fetch.ts";
export type { FetchHandler, FetchOptions } from "../protocol/wsgi_fetch.ts";
export { validator } from "../protocol/wsgi_validator.ts";
export { basicAuth } from "./basic_auth.ts";
export { cors } from "./cors.ts";
export { gzip } from "./gzip.ts";
export { methodOverride } from "./method_override.ts";
export { dispatch, mount } from "./mount.ts";
export { timing } from "./timing.ts";
