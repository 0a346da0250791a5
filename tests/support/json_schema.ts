/**
 * As much of a JSON Schema (draft-07) validator as the schema of routes.yaml needs. A keyword that it
 * does not know is an error, so that nothing in that schema goes untested by oversight.
 */
import assert from "node:assert/strict";

type Json = Readonly<Record<string, unknown>>;
type Rule = (argument: unknown, value: unknown, schema: Json) => boolean;

const isMap = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function all(schemas: unknown, value: unknown): readonly boolean[] {
  assert.ok(Array.isArray(schemas));
  return schemas.map((schema) => accepts(schema, value));
}

function hasType(type: unknown, value: unknown): boolean {
  if (type === "object") return isMap(value);
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  const own = typeof value;
  return type === own;
}

const note: Rule = () => true;

const RULES: Readonly<Record<string, Rule>> = {
  $schema: note,
  title: note,
  description: note,
  examples: note,
  default: note,
  type: hasType,
  enum: (allowed, value) => Array.isArray(allowed) && allowed.includes(value),
  pattern: (source, value) =>
    typeof value !== "string" || new RegExp(String(source), "u").test(value),
  minLength: (least, value) => typeof value !== "string" || value.length >= Number(least),
  minimum: (least, value) => typeof value !== "number" || value >= Number(least),
  maximum: (most, value) => typeof value !== "number" || value <= Number(most),
  minItems: (least, value) => !Array.isArray(value) || value.length >= Number(least),
  items: (schema, value) => !Array.isArray(value) || value.every((item) => accepts(schema, item)),
  anyOf: (schemas, value) => all(schemas, value).includes(true),
  oneOf: (schemas, value) => all(schemas, value).filter(Boolean).length === 1,
  required: (keys, value) =>
    !isMap(value) || (Array.isArray(keys) && keys.every((key) => Object.hasOwn(value, key))),
  properties: (schemas, value) =>
    !isMap(value) || !isMap(schemas) ||
    Object.entries(schemas).every(([key, schema]) =>
      !Object.hasOwn(value, key) || accepts(schema, value[key])
    ),
  minProperties: (least, value) => !isMap(value) || Object.keys(value).length >= Number(least),
  propertyNames: (schema, value) =>
    !isMap(value) || Object.keys(value).every((key) => accepts(schema, key)),
  additionalProperties: (schema, value, { properties = {} }) =>
    !isMap(value) ||
    Object.entries(value).every(([key, item]) =>
      Object.hasOwn(Object(properties), key) || accepts(schema, item)
    ),
};

/** Whether the schema takes the value. */
export function accepts(schema: unknown, value: unknown): boolean {
  if (typeof schema === "boolean") return schema;
  assert.ok(isMap(schema));
  return Object.entries(schema).every(([keyword, argument]) => {
    const rule = RULES[keyword];
    assert.ok(rule !== undefined, `the keyword ${keyword} is not known here`);
    return rule(argument, value, schema);
  });
}
