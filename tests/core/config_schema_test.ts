import assert from "node:assert/strict";
import { buildJsonSchema } from "../../lib/config/json_schema.ts";
import { parseTable } from "../../lib/config/load.ts";
import { withoutEnvironment, yaml } from "../../lib/config/yaml_library.ts";
import committed from "../../lib/config/routes.schema.json" with { type: "json" };
import { ConfigError } from "../../lib/errors.ts";
import { kinds as realKinds } from "../support/kinds.ts";
import * as kinds from "../support/fake_kinds.ts";
import { accepts } from "../support/json_schema.ts";

const schema: unknown = JSON.parse(JSON.stringify(buildJsonSchema(kinds)));

/** The value under a path of keys. */
function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce((inner: unknown, key) => {
    assert.ok(typeof inner === "object" && inner !== null && key in inner, `no ${key}`);
    return Object.entries(inner).find(([name]) => name === key)?.[1];
  }, value);
}

const server = (...path: readonly string[]) => at(schema, "properties", "server", ...path);
const route = (...path: readonly string[]) => at(schema, "properties", "routes", "items", ...path);

/** What the check says, which is the last word. */
function passesCheck(text: string): boolean {
  try {
    parseTable(text, { file: "routes.yaml", folder: "/" }, kinds);
    return true;
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return false;
  }
}

Deno.test("the committed JSON Schema is what the kinds say now (deno task schema)", () => {
  assert.deepEqual(committed, JSON.parse(JSON.stringify(buildJsonSchema(realKinds))));
});

Deno.test("buildJsonSchema() describes every field of the server and of a route", () => {
  for (const properties of [server("properties"), route("properties")]) {
    assert.ok(typeof properties === "object" && properties !== null);
    for (const [name, property] of Object.entries(properties)) {
      assert.match(String(at(property, "description")), /^[A-Z].*\.$/, name);
    }
  }
});

Deno.test("buildJsonSchema() gives scalars a pattern, examples and their default", () => {
  assert.deepEqual(server("properties", "drainTimeout"), {
    description: "How long requests under way may go on when the server stops.",
    type: "string",
    pattern: "^(\\d+(?:\\.\\d+)?)(ms|s|m|h)$",
    examples: ["500ms", "30s", "2m"],
    default: "30s",
  });
  assert.deepEqual(route("properties", "maxReplyHead", "anyOf"), [
    { type: "string", pattern: "^(\\d+)(B|KiB|MiB|GiB)?$", examples: ["64KiB", "16MiB", "1GiB"] },
    { type: "integer", minimum: 0 },
  ]);
});

Deno.test("buildJsonSchema() asks for exactly one handler key", () => {
  assert.deepEqual(route("oneOf"), [
    { required: ["dial"] },
    { required: ["respond"] },
    { required: ["run"] },
  ]);
  assert.deepEqual(route("required"), ["path"]);
  assert.equal(route("additionalProperties"), false);
});

Deno.test("buildJsonSchema() gives a kind its summary, its short form and its long form", () => {
  assert.equal(route("properties", "dial", "description"), "Speaks to an upstream.");
  const forms = route("properties", "dial", "anyOf");
  assert.ok(Array.isArray(forms) && forms.length === 2);
  const [short, long] = forms;
  assert.equal(at(short, "type"), "string");
  assert.equal(at(short, "description"), "Where the upstream is.");
  assert.ok(accepts(short, "127.0.0.1:9000"));
  assert.ok(!accepts(short, "127.0.0.1"));
  assert.deepEqual(at(long, "required"), ["connect"]);
  assert.equal(at(long, "additionalProperties"), false);
});

Deno.test("buildJsonSchema() keeps a description wherever a kind wrote it", () => {
  const long = (kind: string) => at(route("properties", kind, "anyOf"), "1", "properties");
  assert.equal(at(long("run"), "script", "description"), "The program.");
  assert.equal(at(long("respond"), "body", "description"), "The text.");
  assert.equal(at(long("dial"), "timeout", "description"), "How long to wait.");
});

const GOOD = [
  "routes: [{path: /, respond: hi}]",
  "routes: [{path: '{/a}?', respond: {body: hi, status: 200, env: {A: 1, B: true, C: x}}}]",
  "server: {listen: :0, maxRequestBody: 5, dev: true}\nroutes: [{path: /, dial: 'unix:/run/a'}]",
  "server: {listen: ['[::1]:80', 'unix:a'], accessLog: off, trustedProxies: [10.0.0.0/8, '::1', unix]}\n" +
  "routes: [{path: /, dial: {connect: ['a:1', 'b:2'], pool: 1}}]",
  "routes: [{path: /, host: '*.a.org', methods: [GET, M-SEARCH], name: x, timeout: 1.5h, respond: ''}]",
  "routes: [{path: /, host: '::1', headers: {set: {A: [x, 1], B: y}, remove: [C]}, run: a}]",
  "routes: [{path: /, run: {root: a, args: [b], spawn: a b}}, {path: /, run: {root: a, spawn: {command: [a]}}}]",
];

const BAD = [
  "[]",
  "routes: []",
  "routes: [{path: /}]",
  "routes: [{respond: hi}]",
  "routes: [{path: a, respond: hi}]",
  "routes: [{path: /, respond: hi, run: a}]",
  "routes: [{path: /, respond: hi, tiemout: 3s}]",
  "routes: [{path: /, respond: hi, timeout: 3}]",
  "routes: [{path: /, respond: hi, timeout: soon}]",
  "routes: [{path: /, respond: hi, methods: [get]}]",
  "routes: [{path: /, respond: hi, methods: []}]",
  "routes: [{path: /, respond: hi, host: 'a:80'}]",
  "routes: [{path: /, respond: hi, headers: {set: {'A B': c}}}]",
  "routes: [{path: /, respond: hi, maxRequestBody: 64MB}]",
  "routes: [{path: /, respond: {status: 99}}]",
  "routes: [{path: /, respond: {env: {A-B: c}}}]",
  "routes: [{path: /, dial: localhost}]",
  "routes: [{path: /, dial: {pool: 1}}]",
  "routes: [{path: /, run: {root: a, spawn: {processes: 1}}}]",
  "server: {listen: 8080}\nroutes: [{path: /, respond: hi}]",
  "server: {listen: localhost}\nroutes: [{path: /, respond: hi}]",
  "server: {dev: 'yes'}\nroutes: [{path: /, respond: hi}]",
  "server: {accessLog: full}\nroutes: [{path: /, respond: hi}]",
  "server: {trustedProxies: [a.org]}\nroutes: [{path: /, respond: hi}]",
  "servers: {}\nroutes: [{path: /, respond: hi}]",
];

function asData(text: string): unknown {
  return withoutEnvironment(() => yaml.parse(text));
}

Deno.test("buildJsonSchema() takes what the check takes", () => {
  for (const text of GOOD) {
    assert.ok(passesCheck(text), text);
    assert.ok(accepts(schema, asData(text)), text);
  }
});

Deno.test("buildJsonSchema() refuses what an editor can see to be wrong, as the check does", () => {
  for (const text of BAD) {
    assert.ok(!passesCheck(text), text);
    assert.ok(!accepts(schema, asData(text)), text);
  }
});
