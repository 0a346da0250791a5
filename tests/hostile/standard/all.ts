/** Every row of the tables. */
import { CHUNK_ROWS, CODINGS, LENGTHS } from "./bodies.ts";
import { CONNECTIONS, FIELDS } from "./fields.ts";
import { HOSTS, LINES, METHODS, TARGETS, VERSIONS } from "./lines.ts";
import type { Row } from "./row.ts";

export const ALL: readonly Row[] = [
  ...LINES,
  ...METHODS,
  ...TARGETS,
  ...VERSIONS,
  ...HOSTS,
  ...FIELDS,
  ...CONNECTIONS,
  ...LENGTHS,
  ...CODINGS,
  ...CHUNK_ROWS,
];
