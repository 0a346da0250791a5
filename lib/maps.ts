/**
 * Schemas of maps, stricter than the library's own: a list is no map, every unknown key is a fault (with
 * the nearest known name), and no name is dropped in silence.
 *
 * Each is the library's schema with a wrapper around its run, so that JSON Schema and types still see
 * through it. Pure.
 */
import * as v from "valibot";
import { cannotRead, nearest, quote } from "./values.ts";

type Entries = Readonly<Record<string, unknown>>;

interface FaultyName {
  readonly name: string;
  readonly message: string;
}

/**
 * A schema of maps that also refuses lists, which valibot takes for objects, and the names that
 * `faulty` finds: each of them, where valibot stops at the first.
 */
function strict<Schema extends v.GenericSchema>(
  schema: Schema,
  faulty: (input: Entries) => readonly FaultyName[],
): Schema {
  return {
    ...schema,
    "~run"(dataset, config) {
      const input = dataset.value;
      if (typeof input !== "object" || input === null) return schema["~run"](dataset, config);
      if (Array.isArray(input)) {
        v._addIssue(schema, "type", dataset, config);
        return dataset;
      }
      const map: Record<string, unknown> = { ...input };
      const result = schema["~run"](dataset, config);
      for (const { name, message } of faulty(map)) {
        const place: v.ObjectPathItem = {
          type: "object",
          origin: "key",
          input: map,
          key: name,
          value: map[name],
        };
        v._addIssue(schema, "key", result, config, { message, path: [place] });
      }
      return result;
    },
  };
}

/** Names that valibot leaves out of a record without a word, for what they mean to an object. */
const RESERVED = ["__proto__", "constructor", "prototype"];

/** A map whose keys the file chooses: variables, header fields, file endings. */
export function dictionary<
  Key extends v.GenericSchema<string, string>,
  Value extends v.GenericSchema,
>(key: Key, value: Value) {
  return strict(
    v.record(key, value, cannotRead("a map", "NAME: value")),
    (input) =>
      RESERVED.filter((name) => Object.hasOwn(input, name)).map((name) => ({
        name,
        message: `Cannot use "${name}" as a name: write another`,
      })),
  );
}

/** What to say of an unknown key instead of the known ones; undefined: nothing better. */
export type Hint = (key: string, map: Entries) => string | undefined;

/** A map of fields. Unknown keys are faults; so are missing ones, said by name. */
export function fields<const Fields extends v.ObjectEntries>(entries: Fields, hint?: Hint) {
  const known = Object.keys(entries);
  const schema = v.object(entries, (issue) => {
    const key = issue.path?.[0].key;
    if (key !== undefined) return `Missing key "${String(key)}": write it here`;
    return cannotRead("a map of fields", "field: value")(issue);
  });
  return strict(
    schema,
    (input) =>
      Object.keys(input).filter((name) => !Object.hasOwn(entries, name)).map((name) => ({
        name,
        message: `Unknown key ${quote(name)}: ${hint?.(name, input) ?? suggest(name, known)}`,
      })),
  );
}

/** The nearest known name as a question, or all of them. */
export function suggest(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  if (near !== undefined) return `did you mean "${near}"?`;
  return known.length === 0 ? "no key is known here" : `the keys here are ${known.join(", ")}`;
}
