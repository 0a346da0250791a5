/** What the table says of traces, what they need, and what no table may say. */
import assert from "node:assert/strict";
import { buildJsonSchema } from "../../lib/config/json_schema.ts";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { needsOf } from "../../lib/permissions.ts";
import * as kinds from "../support/fake_kinds.ts";
import { accepts } from "../support/json_schema.ts";

function parse(traces: string) {
  const text = `server: {traces: ${traces}}\nroutes: [{path: /, respond: hi}]`;
  return parseTable(text, { file: "routes.yaml", folder: "/srv/app" }, kinds);
}

function faultsOf(traces: string): readonly string[] {
  try {
    parse(traces);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
  return [];
}

const DEFAULTS = { sampleRatio: 1, acceptFrom: "trustedProxies", serviceName: "portico" };

Deno.test("parseTable() reads where traces go, in short and in full", () => {
  assert.deepEqual(parse("http://127.0.0.1:4318").server.traces, {
    ...DEFAULTS,
    endpoint: "http://127.0.0.1:4318/v1/traces",
  });
  const long =
    "{endpoint: https://otlp.example.org/a/b?c, sampleRatio: 0.25, acceptFrom: everybody, " +
    "serviceName: edge, headers: {env: KEYS}}";
  assert.deepEqual(parse(long).server.traces, {
    endpoint: "https://otlp.example.org/a/b?c",
    sampleRatio: 0.25,
    acceptFrom: "everybody",
    serviceName: "edge",
    headersEnv: "KEYS",
  });
  assert.equal(
    parseTable("routes: [{path: /, respond: a}]", { file: "f", folder: "/" }, kinds).server.traces,
    undefined,
  );
});

const COLLECTOR = 'as a collector: write "http://127.0.0.1:4318", perhaps with a path';
const SHARE = "as a share: write a number from 0 to 1";

for (
  const [traces, fault] of [
    ["127.0.0.1:4318", `1:18: Cannot read "127.0.0.1:4318" ${COLLECTOR}`],
    ["grpc://127.0.0.1:4317", `1:18: Cannot read "grpc://127.0.0.1:4317" ${COLLECTOR}`],
    ["http://127.0.0.1:99999", `1:18: Cannot read "http://127.0.0.1:99999" ${COLLECTOR}`],
    ["http://me:secret@host/", `1:18: Cannot read "http://me:secret@host/" ${COLLECTOR}`],
    ["{endpoint: unix:/a}", `1:29: Cannot read "unix:/a" ${COLLECTOR}`],
    ["{endpoint: http://a, sampleRatio: 2}", `1:52: Cannot read 2 ${SHARE}`],
    ["{endpoint: http://a, sampleRatio: -0.1}", `1:52: Cannot read -0.1 ${SHARE}`],
    ["{endpoint: http://a, sampleRatio: 10%}", `1:52: Cannot read "10%" ${SHARE}`],
    [
      "{endpoint: http://a, acceptFrom: me}",
      '1:51: Cannot read "me" as a choice: write trustedProxies or everybody or nobody',
    ],
    [
      "{endpoint: http://a, headers: {env: A-B}}",
      '1:54: Cannot read "A-B" as the name of a variable: write letters, digits and _',
    ],
  ] as const
) {
  Deno.test(`parseTable() refuses traces: ${traces}`, () => {
    assert.deepEqual(faultsOf(traces), [fault]);
  });
}

Deno.test("parseTable() misses the endpoint, and knows no other key", () => {
  assert.match(faultsOf("{sampleRatio: 1}").join(), /endpoint/);
  assert.match(faultsOf("{endpoint: http://a, ratio: 1}").join(), /ratio/);
});

Deno.test("needsOf() asks for the collector's address, and for the variable", () => {
  const needs = (traces: string) =>
    needsOf(parse(traces), [], "/srv/app/routes.yaml")
      .filter(({ who }) => who === "server.traces")
      .map(({ name, value }) => `${name}=${value}`);
  assert.deepEqual(needs("http://127.0.0.1:4318"), ["net=127.0.0.1:4318"]);
  assert.deepEqual(needs("'http://[::1]:4318/x'"), ["net=[::1]:4318"]);
  assert.deepEqual(needs("http://collector"), ["net=collector:80"]);
  assert.deepEqual(needs("{endpoint: https://otlp.example.org, headers: {env: KEYS}}"), [
    "net=otlp.example.org:443",
    "env=KEYS",
  ]);
});

Deno.test("the JSON Schema knows the traces", () => {
  const schema = buildJsonSchema(kinds);
  const routes = [{ path: "/", respond: "hi" }];
  const taken = (traces: unknown) => accepts(schema, { server: { traces }, routes });
  assert.ok(taken("http://127.0.0.1:4318"));
  assert.ok(taken({ endpoint: "http://a", sampleRatio: 0.5, headers: { env: "KEYS" } }));
  assert.ok(!taken({ sampleRatio: 0.5 }));
  assert.ok(!taken({ endpoint: "http://a", sampleRatio: 2 }));
  assert.ok(!taken("unix:/a"));
});
