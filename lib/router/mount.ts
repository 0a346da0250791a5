/**
 * From a path and the shape it fits to the border between SCRIPT_NAME and PATH_INFO and the values of
 * the groups (RFC 3875 §4.1.5, §4.1.13). Runs once per request, for the route that won.
 */
import { type ByteString, type Mount, plainPath } from "../exchange.ts";
import type { Affix, Expression, Segments, Shape } from "./shape.ts";

type Params = Record<string, ByteString>;

const NO_PARAMS: Mount["params"] = Object.freeze(noParams());

/** The mount of a path that fits the shape. Groups that took no part are not in the params. */
export function mountAt(shape: Shape, path: ByteString): Mount {
  switch (shape.type) {
    case "segments":
      return mountSegments(shape, path);
    case "affix":
      return mountAffix(shape, path);
    case "expression":
      return mountExpression(shape, path);
    default:
      return shape satisfies never;
  }
}

/** Without prototype, so that a group named `constructor` is a group. */
function noParams(): Params {
  return Object.create(null);
}

function mountSegments({ names, rest }: Segments, path: ByteString): Mount {
  if (names.length === 0 && rest === undefined) return mountWhole(path, NO_PARAMS);
  const params = noParams();
  let at = 0;
  for (const name of names) {
    const slash = path.indexOf("/", at + 1);
    const end = slash < 0 ? path.length : slash;
    if (name !== undefined) params[name] = plainPath(path.slice(at + 1, end));
    at = end;
  }
  if (rest === undefined) return mountWhole(path, params);
  params[rest] = plainPath(path.slice(at + 1));
  return mountPrefix(path, at, params);
}

function mountAffix({ prefix, suffix, name }: Affix, path: ByteString): Mount {
  const params = noParams();
  params[name] = plainPath(path.slice(prefix.length, path.length - suffix.length));
  return mountWhole(path, params);
}

function mountExpression({ expression, names, rest }: Expression, path: ByteString): Mount {
  const groups = expression.exec(path)?.slice(1) ?? [];
  const params = noParams();
  for (const [i, name] of names.entries()) {
    const value = groups[i];
    if (value !== undefined) params[name] = plainPath(value);
  }
  if (!rest) return mountWhole(path, params);
  const tail = groups.at(-1);
  params[names.at(-1) ?? ""] ??= "";
  return mountPrefix(
    path,
    tail === undefined ? path.length : path.length - tail.length - 1,
    params,
  );
}

function mountWhole(path: ByteString, params: Mount["params"]): Mount {
  return { scriptName: plainPath(path), pathInfo: "", params };
}

function mountPrefix(path: ByteString, end: number, params: Mount["params"]): Mount {
  return {
    scriptName: plainPath(path.slice(0, end)),
    pathInfo: plainPath(path.slice(end)),
    params,
  };
}
