/**
 * The JSON Schema (draft-07) of routes.yaml, made from the very schemas that check it, so that editors
 * complete keys, show their descriptions and mark mistakes. Never loaded when serving.
 *
 * It says less than the check does: whatever has no word in JSON Schema (an IP address that does not
 * exist, a path pattern's inner grammar) is left to `portico check`.
 */
import { type JsonSchema, type OverrideSchemaContext, toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { fields } from "../fields.ts";
import type { Kind } from "../handler.ts";
import { adminSchema } from "./admin.ts";
import type { Kinds } from "./kinds.ts";
import { routeFields } from "./route.ts";
import { serverSchema } from "./server.ts";

/** Builds the schema for a registry of kinds. */
export function buildJsonSchema(kinds: Kinds): JsonSchema {
  const route = convert(fields(routeFields));
  const keys = Object.keys(kinds);
  const handlers = Object.fromEntries(keys.map((key) => [key, handlerForms(kinds[key])]));
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "routes.yaml",
    description: "Routes of Portico, an edge gateway: tried in file order, the first match serves.",
    type: "object",
    properties: {
      server: { description: "What concerns the server as a whole.", ...convert(serverSchema) },
      admin: {
        description: "A listener for the operator: health, metrics, status page. Off unless set.",
        ...convert(adminSchema),
      },
      routes: {
        description: "The routes, tried in this order. Each has exactly one handler key.",
        type: "array",
        minItems: 1,
        items: {
          ...route,
          properties: { ...route.properties, ...handlers },
          oneOf: keys.map((key) => ({ required: [key] })),
        },
      },
    },
    required: ["routes"],
    additionalProperties: false,
  };
}

/** A handler key takes the short form's text or the long form's map. */
function handlerForms(kind: Kind | undefined): JsonSchema {
  if (kind === undefined) return {};
  const long = convert(kind.schema);
  const field = long.properties?.[kind.short];
  return { description: kind.summary, anyOf: [shortForm(field), long] };
}

/** What of a field's forms is plain text. */
function shortForm(field: JsonSchema | boolean | undefined): JsonSchema {
  if (typeof field !== "object") return { type: "string" };
  const forms = [field, ...(field.anyOf ?? [])];
  const text = forms.find((form) => typeof form === "object" && form.type === "string");
  return typeof text === "object"
    ? { description: field.description, ...text }
    : { type: "string" };
}

function convert(schema: v.GenericSchema): JsonSchema {
  const { $schema: _, $defs: __, ...json } = toJsonSchema(schema, {
    typeMode: "input",
    // What cannot be said is left out; the check says it.
    errorMode: "ignore",
    overrideSchema: (context) => completeMap(context) ?? spellOutForms(context),
  });
  return json;
}

/**
 * Maps are strict here. A field's description counts wherever it stands: also behind a conversion, where
 * the library has stopped reading.
 */
function completeMap({ valibotSchema, jsonSchema }: OverrideSchemaContext): JsonSchema | undefined {
  if (!("entries" in valibotSchema)) return undefined;
  const { required = [], ...json } = jsonSchema;
  const properties = { ...json.properties };
  for (const [name, field] of Object.entries(valibotSchema.entries ?? {})) {
    const property = properties[name];
    const description = descriptionOf(field);
    if (typeof property !== "object" || description === undefined) continue;
    properties[name] = { description, ...property };
  }
  const needs = required.length === 0 ? {} : { required };
  return { ...json, properties, ...needs, additionalProperties: false };
}

/** A schema that is chosen by the value stands for all that can be chosen. */
function spellOutForms({ valibotSchema }: OverrideSchemaContext): JsonSchema | undefined {
  if (!("getter" in valibotSchema) || typeof valibotSchema.getter !== "function") return undefined;
  const { getter } = valibotSchema;
  const forms = new Set(["", 0, [], {}].map((sample): unknown => getter(sample)));
  return { anyOf: [...forms].filter(isSchema).map(convert) };
}

function descriptionOf(schema: unknown): string | undefined {
  if (!isSchema(schema)) return undefined;
  const wrapped = "wrapped" in schema ? descriptionOf(schema.wrapped) : undefined;
  return v.getDescription(schema) ?? wrapped;
}

function isSchema(value: unknown): value is v.GenericSchema {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "schema";
}
