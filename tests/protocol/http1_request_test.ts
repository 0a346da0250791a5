/** What an origin gets of a request: the target, the fields, who the client is; and what a client gets back. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Exchange } from "../../lib/exchange.ts";
import { ByteWriter } from "../../lib/protocol/byte_writer.ts";
import { decodeTarget } from "../../lib/protocol/cgi_path.ts";
import { latin1FromBytes } from "../../lib/protocol/latin1.ts";
import {
  type RequestFacts,
  timesSeen,
  writeRequestHead,
} from "../../lib/protocol/http1_request.ts";
import { proxyStatus } from "../../lib/protocol/proxy_status.ts";
import { originTarget, publicLocation } from "../../lib/protocol/proxy_target.ts";
import { exchangeOf } from "../support/exchange.ts";

function headOf(changes: Partial<Exchange>, facts: Partial<RequestFacts> = {}): string[] {
  const writer = new ByteWriter();
  writeRequestHead(writer, exchangeOf(changes), {
    target: "/t",
    host: "origin",
    cut: "",
    body: undefined,
    connection: "",
    ...facts,
  });
  const text = latin1FromBytes(writer.take());
  assert.ok(text.endsWith("\r\n\r\n"));
  return text.trimEnd().split("\r\n");
}

function fieldOf(name: string, changes: Partial<Exchange>, facts?: Partial<RequestFacts>) {
  return headOf(changes, facts).filter((line) => line.startsWith(`${name}: `))
    .map((line) => line.slice(name.length + 2)).join("|");
}

Deno.test("writeRequestHead() tells who the client is (RFC 7239)", () => {
  const at = (address: string, port = 1) => ({ client: { address, port } });
  const rows = [
    [at("192.0.2.9"), "for=192.0.2.9;host=example.org;proto=http", "192.0.2.9"],
    [at("2001:db8::1"), 'for="[2001:db8::1]";host=example.org;proto=http', "2001:db8::1"],
    [at("192.0.2.9", 0), "for=192.0.2.9;host=example.org;proto=http", "192.0.2.9"],
    [at("", 0), "for=unknown;host=example.org;proto=http", ""],
    [at("/run/x.sock", 0), "for=unknown;host=example.org;proto=http", ""],
    [
      { ...at("192.0.2.9"), authority: "[::1]:80", scheme: "https" },
      'for=192.0.2.9;host="[::1]:80";proto=https',
      "192.0.2.9",
    ],
  ] as const;
  for (const [changes, forwarded, legacy] of rows) {
    assert.equal(fieldOf("forwarded", changes), forwarded);
    assert.equal(fieldOf("x-forwarded-for", changes), legacy);
  }
});

Deno.test("writeRequestHead() names the version that the request came by (RFC 9110 section 7.6.3)", () => {
  const host = new Headers({ host: "example.org", via: "1.0 a, 1.1 b" });
  assert.equal(fieldOf("via", { headers: host }), "1.0 a, 1.1 b, 1.1 portico");
  assert.equal(fieldOf("via", {}), "2.0 portico");
});

Deno.test("writeRequestHead() tells how long the body is", () => {
  const lengths = (method: string, body: RequestFacts["body"]) =>
    headOf({ method }, { body }).filter((line) => /^(content-length|transfer)/.test(line));
  assert.deepEqual(lengths("POST", 5), ["content-length: 5"]);
  assert.deepEqual(lengths("POST", 0), ["content-length: 0"]);
  assert.deepEqual(lengths("POST", "chunked"), ["transfer-encoding: chunked"]);
  assert.deepEqual(lengths("POST", undefined), ["content-length: 0"]);
  assert.deepEqual(lengths("GET", undefined), []);
});

Deno.test("writeRequestHead() leaves no field of the client's that could frame or route", () => {
  const names = ["content-length", "transfer-encoding", "host", "connection", "x-forwarded-host"];
  const headers = new Headers(names.map((name) => [name, "evil"]));
  assert.doesNotMatch(headOf({ headers }).join("\n"), /evil/);
});

Deno.test("timesSeen() counts the gateways in Via", () => {
  const count = (via?: string) => timesSeen(new Headers(via === undefined ? {} : { via }));
  assert.deepEqual([count(), count("1.1 a"), count("1.1 portico, 2.0 portico, 1.1 porticos")], [
    0,
    0,
    2,
  ]);
});

function target(raw: string, scriptName: string, prefix: string, strip: boolean): string {
  return originTarget(decodeTarget(raw), { scriptName }, { prefix, strip });
}

Deno.test("originTarget() passes on what is plain, and writes anew what is not", () => {
  const rows: [string, string, string, boolean, string][] = [
    ["/a/b?c", "/a", "", false, "/a/b?c"],
    ["/a/b?c", "/a", "/base", false, "/base/a/b?c"],
    ["/a/b?c", "/a", "", true, "/b?c"],
    ["/a/b?", "/a", "/base", true, "/base/b?"],
    ["/a", "/a", "/base", true, "/base/"],
    ["/a%2Fb/%63", "", "", false, "/a%2Fb/%63"],
    ["/x%2Fy/z%2f", "/x\u0100y", "", true, "/z%2f"],
    ["/a/../../b", "", "/base", false, "/base/b"],
    ["/a/%2E%2e/b/.?x", "", "/base", false, "/base/b/?x"],
    ["//a//b", "/a", "", true, "/b"],
    ["/a/./b%2Fc%20d", "/a", "/base", true, "/base/b%2Fc%20d"],
    ["/..a/.b/c.", "", "/base", false, "/base/..a/.b/c."],
  ];
  for (const [raw, scriptName, prefix, strip, wanted] of rows) {
    assert.equal(target(raw, scriptName, prefix, strip), wanted, raw);
  }
});

Deno.test("originTarget() stays below its prefix, and means the path that the route was chosen by", () => {
  const segment = fc.constantFrom("a", "b%2Fc", "..", ".", "%2e%2e", "", "%20", ".x", "%2E", "...");
  fc.assert(fc.property(fc.array(segment), fc.boolean(), (segments, strip) => {
    const asked = decodeTarget("/" + segments.join("/"));
    const first = /^\/[^/]+/.exec(asked.path)?.[0] ?? "";
    const got = originTarget(asked, { scriptName: strip ? first : "" }, { prefix: "/p", strip });
    const { path } = decodeTarget(got);
    const rest = strip ? asked.path.slice(first.length) : asked.path;
    assert.equal(path, "/p" + (rest === "" ? "/" : rest));
  }));
});

Deno.test("publicLocation() never makes a path another host's", () => {
  const origin = { base: "http://o:1", prefix: "" };
  assert.equal(publicLocation("http://o:1//evil.example/", origin, ""), "/evil.example/");
  assert.equal(publicLocation("http://o:1", origin, ""), "/");
  assert.equal(publicLocation("http://o:1?x", origin, "/a"), "/a?x");
  assert.equal(publicLocation("http://o:1@evil/", origin, ""), "http://o:1@evil/");
  assert.equal(publicLocation("//o:1/", origin, ""), "//o:1/");
});

Deno.test("proxyStatus() tells of what is behind the gateway alone", () => {
  assert.deepEqual(proxyStatus(502, "connect-refused"), [
    "proxy-status",
    "portico; error=connection_refused",
  ]);
  assert.equal(proxyStatus(502, "bad-content-length")?.[1], "portico; error=http_protocol_error");
  assert.equal(proxyStatus(400, "bad-content-length"), undefined);
  assert.equal(proxyStatus(500, "internal"), undefined);
  assert.equal(proxyStatus(502, "constructor"), undefined);
});
