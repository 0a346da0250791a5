/** What becomes of a reply when the request is conditional or asks for a part. */
import assert from "node:assert/strict";
import {
  hasConditions,
  type Plan,
  planReply,
  type Question,
} from "../../lib/protocol/conditional_reply.ts";

function planned(asked: Record<string, string>, changes: Partial<Question> = {}): Plan {
  return planReply({
    method: "GET",
    asked: new Headers(asked),
    status: 200,
    headers: [["ETag", '"a"'], ["Content-Length", "100"], ["Content-Type", "text/plain"]],
    isStream: false,
    ...changes,
  });
}

Deno.test("planReply() looks at a 200 to GET or HEAD alone", () => {
  const asked = { "if-none-match": '"a"' };
  assert.equal(planned(asked).type, "not-modified");
  assert.equal(planned(asked, { method: "HEAD" }).type, "not-modified");
  assert.equal(planned(asked, { method: "POST" }).type, "whole");
  assert.equal(planned(asked, { status: 404 }).type, "whole");
});

Deno.test("planReply() keeps of a 304 what guides a cache, and nothing of the body (RFC 9110 §15.4.5)", () => {
  const kept: [string, string][] = [
    ["ETag", '"a"'],
    ["Cache-Control", "max-age=5"],
    ["Content-Location", "/x"],
    ["Content-Security-Policy", "default-src 'self'"],
    ["Vary", "Cookie"],
  ];
  const gone: [string, string][] = [
    ["Content-Type", "text/plain"],
    ["content-length", "100"],
    ["Content-Encoding", "br"],
    ["Accept-Ranges", "bytes"],
  ];
  const plan = planned({ "if-none-match": '"a"' }, { headers: [...kept, ...gone] });
  assert.deepEqual(plan, { type: "not-modified", headers: kept });
});

Deno.test("planReply() cuts in any order from what is there, and forwards from a stream", () => {
  const asked = { range: "bytes=50-59,0-9" };
  assert.equal(planned(asked).type, "part");
  assert.equal(planned(asked, { isStream: true }).type, "whole");
  assert.equal(planned({ range: "bytes=0-9,50-59" }, { isStream: true }).type, "part");
});

Deno.test("planReply() says that ranges are welcome where they are", () => {
  const plan = planned({});
  assert.ok(plan.type === "whole");
  assert.deepEqual(plan.headers.at(-1), ["accept-ranges", "bytes"]);
  const unknown = planned({ range: "bytes=0-1" }, { headers: [["ETag", '"a"']] });
  assert.deepEqual(unknown, { type: "whole", headers: [["ETag", '"a"']] });
});

Deno.test("planReply() refuses by If-Match and by a range past the end", () => {
  assert.equal(planned({ "if-match": '"b"' }).type, "failed");
  assert.deepEqual(planned({ range: "bytes=100-" }), {
    type: "unsatisfiable",
    contentRange: "bytes */100",
  });
});

Deno.test("hasConditions() sees each field that may make another answer of the whole", () => {
  for (
    const name of ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range"]
  ) {
    assert.ok(hasConditions(new Headers({ [name]: "x" })), name);
  }
  assert.ok(!hasConditions(new Headers({ "if-range": "x", accept: "*/*" })));
});
