import assert from "node:assert/strict";
import { ProtocolError } from "../../lib/errors.ts";
import type { FileRequest, HeaderPair } from "../../lib/exchange.ts";
import { interpretHead } from "../../lib/protocol/cgi_response.ts";
import { checkedHead } from "../../lib/protocol/wsgi_head.ts";

/** Both ways into the one reply reader: a program's output, and an application's header list. */
const readers = {
  "interpretHead()": interpretHead,
  "checkedHead()": (fields: readonly HeaderPair[]) => checkedHead("200 OK", [...fields]),
};

const PLAIN: HeaderPair = ["X-Plain", "1"];

const rows: [what: string, fields: HeaderPair[], file: FileRequest | undefined][] = [
  ["X-Accel-Redirect", [["X-Accel-Redirect", "/p/a"]], { by: "path", value: "/p/a" }],
  ["it in any case", [["x-ACCEL-redirect", "/p/a"]], { by: "path", value: "/p/a" }],
  ["X-Sendfile", [["X-Sendfile", "/srv/a"]], { by: "name", value: "/srv/a" }],
  ["lighttpd's", [["X-LIGHTTPD-send-file", "/srv/a"]], { by: "name", value: "/srv/a" }],
  ["an empty value as no field", [["X-Sendfile", ""]], undefined],
  ["nginx's other fields as no request", [
    ["X-Accel-Buffering", "no"],
    ["X-Accel-Expires", "10"],
    ["X-Accel-Limit-Rate", "10"],
    ["X-Accel-Charset", "utf-8"],
    ["x-accel-12345678", "as long as X-Accel-Redirect"],
  ], undefined],
];

for (const [name, read] of Object.entries(readers)) {
  for (const [what, fields, file] of rows) {
    Deno.test(`${name} takes ${what} out of the head`, () => {
      const reply = read([PLAIN, ...fields]);
      assert.ok(reply.type === "reply");
      assert.deepEqual(reply.headers, [PLAIN]);
      assert.deepEqual(reply.file, file);
      assert.equal("file" in reply, file !== undefined, "no property where there is no request");
    });
  }

  Deno.test(`${name} passes fields that only look alike`, () => {
    const alike: HeaderPair[] = [["X-Accelerate", "1"], ["X-Sendfiles", "1"], ["X-Sendfil", "1"]];
    const reply = read(alike);
    assert.ok(reply.type === "reply");
    assert.deepEqual(reply.headers, alike);
  });
}

Deno.test("interpretHead() refuses two files", () => {
  const act = () => interpretHead([["X-Sendfile", "/a"], ["X-LIGHTTPD-send-file", "/b"]]);
  assert.throws(act, (error) => {
    return error instanceof ProtocolError && error.failure === "duplicate-field";
  });
});

Deno.test("interpretHead() takes nginx's field for the one that counts", () => {
  const reply = interpretHead([["X-Sendfile", "/srv/a"], ["X-Accel-Redirect", "/p/a"]]);
  assert.ok(reply.type === "reply");
  assert.deepEqual(reply.file, { by: "path", value: "/p/a" });
});

Deno.test("interpretHead() makes no local redirect of a reply that asks for a file", () => {
  const reply = interpretHead([["Location", "/elsewhere"], ["X-Sendfile", "/srv/a"]]);
  assert.equal(reply.type, "reply");
});

Deno.test("interpretHead() drops X-CGI- fields that are as long as the names it knows", () => {
  // 10, 16 and 20 letters, as X-Sendfile and its like.
  const names = ["X-CGI-Term", "X-CGI-Term-Width", "X-CGI-Terminal-Width"];
  const reply = interpretHead([PLAIN, ...names.map((name): HeaderPair => [name, "1"])]);
  assert.ok(reply.type === "reply");
  assert.deepEqual(reply.headers, [PLAIN]);
});
