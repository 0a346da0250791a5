/**
 * Three kinds that can be checked and no more: enough to test the configuration without the real ones.
 * Between them they have every form a field may take.
 */
import * as v from "valibot";
import {
  address,
  command,
  count,
  described,
  dictionary,
  duration,
  environment,
  fields,
  list,
  oneOrMore,
  optional,
  text,
} from "../../lib/fields.ts";
import { defineKind, type FieldsSchema } from "../../lib/handler.ts";

function kind<Schema extends FieldsSchema>(summary: string, short: string, schema: Schema) {
  const never = () => Promise.reject(new Error("This kind can only be checked"));
  return defineKind({
    summary,
    short,
    schema,
    requestBody: undefined,
    describe: () => summary,
    permissions: () => [],
    explain: never,
    open: never,
  });
}

export const respond = kind(
  "Answers with a fixed text.",
  "body",
  fields({
    body: optional(described(v.string(), "The text.")),
    status: optional(count(200)),
    env: optional(environment),
  }),
);

export const run = kind(
  "Runs a program.",
  "script",
  v.pipe(
    fields({
      script: described(optional(text), "The program."),
      root: optional(text),
      args: optional(list(text)),
      env: optional(environment),
      timeout: optional(duration),
      interpreters: optional(dictionary(v.string(), command)),
      spawn: optional(v.union([command, fields({ command, processes: optional(count(1)) })])),
    }),
    v.check(
      ({ script, root }) => (script === undefined) !== (root === undefined),
      "Cannot tell what to run: write either script or root",
    ),
  ),
);

export const dial = kind(
  "Speaks to an upstream.",
  "connect",
  fields({
    connect: described(oneOrMore(address), "Where the upstream is."),
    pool: optional(count(1)),
    timeout: optional(described(duration, "How long to wait.")),
  }),
);
