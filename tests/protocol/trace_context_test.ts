/** W3C Trace Context: what is read, and what is as if it were not there. Section numbers are level 1's. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { formatTraceparent, parseTraceContext } from "../../lib/protocol/trace_context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const KNOWN = { traceId: TRACE, parentId: SPAN, sampled: true, tracestate: undefined };

Deno.test("parseTraceContext() reads version 00, and of later ones what it knows (§3.2.2)", () => {
  assert.deepEqual(parseTraceContext(`00-${TRACE}-${SPAN}-01`, null), KNOWN);
  assert.deepEqual(parseTraceContext(`00-${TRACE}-${SPAN}-00`, null), { ...KNOWN, sampled: false });
  assert.deepEqual(parseTraceContext(`00-${TRACE}-${SPAN}-03`, null), KNOWN);
  assert.deepEqual(parseTraceContext(`cc-${TRACE}-${SPAN}-01-what`, null), KNOWN);
  assert.deepEqual(parseTraceContext(`cc-${TRACE}-${SPAN}-01`, null), KNOWN);
});

for (
  const text of [
    "",
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-what`,
    `00-${TRACE}-${SPAN}-01 `,
    `cc-${TRACE}-${SPAN}-01.what`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}`,
    `0-${TRACE}-${SPAN}-01`,
    // A field that came twice.
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
  ]
) {
  Deno.test(`parseTraceContext() takes ${JSON.stringify(text)} for none (§3.2.2.3)`, () => {
    assert.equal(parseTraceContext(text, "a=b"), undefined);
  });
}

Deno.test("parseTraceContext() passes a tracestate on, or drops the whole of a broken one (§3.3)", () => {
  const read = (text: string | null) =>
    parseTraceContext(`00-${TRACE}-${SPAN}-01`, text)?.tracestate;
  assert.equal(
    read("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
  );
  assert.equal(read("a=1 ,\t b@v=2, ,"), "a=1,b@v=2");
  assert.equal(read("0tenant@v=x y"), "0tenant@v=x y");
  for (const broken of [null, "", ",", "a", "=b", "A=b", "a=\xe9", "a=b=c", "1=b", "a=b\n"]) {
    assert.equal(read(broken), undefined, JSON.stringify(broken));
  }
  assert.equal(read(Array.from({ length: 33 }, (_, i) => `k${i}=v`).join()), undefined);
});

Deno.test("formatTraceparent() writes what parseTraceContext() reads", () => {
  const id = (digits: number) =>
    fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`)).filter((text) => !/^0+$/.test(text));
  fc.assert(fc.property(id(32), id(16), fc.boolean(), (traceId, parentId, sampled) => {
    const read = parseTraceContext(formatTraceparent(traceId, parentId, sampled), null);
    assert.deepEqual(read, { traceId, parentId, sampled, tracestate: undefined });
  }));
});

Deno.test("parseTraceContext() fails for no text", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (traceparent, tracestate) => {
    parseTraceContext(traceparent, tracestate);
    const state = parseTraceContext(`00-${TRACE}-${SPAN}-01`, tracestate)?.tracestate;
    assert.ok(state === undefined || !/[\r\n]/.test(state));
  }));
});
