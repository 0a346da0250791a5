import assert from "node:assert/strict";
import fc from "fast-check";
import { type Validators, weighConditions } from "../../lib/protocol/http_conditions.ts";
import { formatHttpDate } from "../../lib/protocol/http_date.ts";

const MODIFIED = Date.UTC(2026, 0, 2, 3, 4, 5);
const NOW = MODIFIED + 3_600_000;
const SAME = formatHttpDate(MODIFIED);
const BEFORE = formatHttpDate(MODIFIED - 1000);
const AFTER = formatHttpDate(MODIFIED + 1000);

const STRONG: Validators = { etag: '"a"', modifiedMs: MODIFIED };
const WEAK: Validators = { etag: 'W/"a"', modifiedMs: MODIFIED };
const NEITHER: Validators = { etag: undefined, modifiedMs: undefined };

type Told = "proceed" | "whole" | "not-modified" | "failed";

function weigh(
  headers: Record<string, string>,
  validators = STRONG,
  method = "GET",
  now = NOW,
): Told {
  const verdict = weighConditions(method, new Headers(headers), validators, now);
  return verdict.type === "proceed" && !verdict.allowsRange ? "whole" : verdict.type;
}

const rows: [headers: Record<string, string>, told: Told, validators?: Validators][] = [
  [{}, "proceed"],
  [{}, "proceed", NEITHER],
  // §13.1.1
  [{ "if-match": '"a"' }, "proceed"],
  [{ "if-match": '"b", "a"' }, "proceed"],
  [{ "if-match": '"b"' }, "failed"],
  [{ "if-match": "*" }, "proceed"],
  [{ "if-match": "*" }, "proceed", NEITHER],
  [{ "if-match": '"a"' }, "failed", NEITHER],
  // Strong comparison (§8.8.3.2).
  [{ "if-match": 'W/"a"' }, "failed"],
  [{ "if-match": '"a"' }, "failed", WEAK],
  [{ "if-match": 'W/"a"' }, "failed", WEAK],
  [{ "if-match": "a" }, "failed"],
  [{ "if-match": "" }, "failed"],
  // §13.1.2: weak comparison.
  [{ "if-none-match": '"a"' }, "not-modified"],
  [{ "if-none-match": 'W/"a"' }, "not-modified"],
  [{ "if-none-match": '"a"' }, "not-modified", WEAK],
  [{ "if-none-match": 'W/"a"' }, "not-modified", WEAK],
  [{ "if-none-match": '"b"' }, "proceed"],
  [{ "if-none-match": "*" }, "not-modified"],
  [{ "if-none-match": '"A"' }, "proceed"],
  [{ "if-none-match": "a" }, "proceed"],
  [{ "if-none-match": '"a' }, "proceed"],
  [{ "if-none-match": 'w/"a"' }, "proceed"],
  [{ "if-none-match": '"a"' }, "proceed", NEITHER],
  // Lists (§5.6.1): empty elements, white space, commas inside a tag.
  [{ "if-none-match": ' , "x",\t,W/"y" ,"a"' }, "not-modified"],
  [{ "if-none-match": '"x, "a", "y"' }, "proceed"],
  [{ "if-none-match": '"x,y","a"' }, "not-modified"],
  [{ "if-none-match": '"x""a"' }, "proceed"],
  [{ "if-none-match": '"x", bad, "a"' }, "proceed"],
  [{ "if-none-match": '"a,b"' }, "not-modified", { ...STRONG, etag: '"a,b"' }],
  [{ "if-none-match": '""' }, "not-modified", { ...STRONG, etag: '""' }],
  // §13.1.3
  [{ "if-modified-since": SAME }, "not-modified"],
  [{ "if-modified-since": AFTER }, "not-modified"],
  [{ "if-modified-since": BEFORE }, "proceed"],
  [{ "if-modified-since": "yesterday" }, "proceed"],
  [{ "if-modified-since": `${SAME}, ${SAME}` }, "proceed"],
  [{ "if-modified-since": SAME }, "proceed", NEITHER],
  // §13.1.4
  [{ "if-unmodified-since": SAME }, "proceed"],
  [{ "if-unmodified-since": AFTER }, "proceed"],
  [{ "if-unmodified-since": BEFORE }, "failed"],
  [{ "if-unmodified-since": "yesterday" }, "proceed"],
  [{ "if-unmodified-since": BEFORE }, "proceed", NEITHER],
  // §13.2.2: the order of steps.
  [{ "if-match": '"a"', "if-unmodified-since": BEFORE }, "proceed"],
  [{ "if-match": '"b"', "if-unmodified-since": AFTER }, "failed"],
  [{ "if-match": '"b"', "if-none-match": '"a"' }, "failed"],
  [{ "if-match": '"a"', "if-none-match": '"a"' }, "not-modified"],
  [{ "if-none-match": '"b"', "if-modified-since": SAME }, "proceed"],
  [{ "if-none-match": '"a"', "if-modified-since": BEFORE }, "not-modified"],
  [{ "if-unmodified-since": SAME, "if-modified-since": SAME }, "not-modified"],
  // §13.1.5
  [{ "if-range": '"a"' }, "proceed"],
  [{ "if-range": '"b"' }, "whole"],
  [{ "if-range": 'W/"a"' }, "whole"],
  [{ "if-range": '"a"' }, "whole", WEAK],
  [{ "if-range": 'W/"a"' }, "whole", WEAK],
  [{ "if-range": '"a", "b"' }, "whole"],
  [{ "if-range": "*" }, "whole"],
  [{ "if-range": "a" }, "whole"],
  [{ "if-range": '"a"' }, "whole", NEITHER],
  [{ "if-range": SAME }, "proceed"],
  [{ "if-range": BEFORE }, "whole"],
  [{ "if-range": AFTER }, "whole"],
  [{ "if-range": SAME }, "whole", NEITHER],
  [{ "if-range": '"b"', "if-none-match": '"a"' }, "not-modified"],
];

for (const [headers, told, validators] of rows) {
  const what = JSON.stringify(headers) + (validators ? ` for ${JSON.stringify(validators)}` : "");
  Deno.test(`weighConditions() ${told}: ${what}`, () => {
    assert.equal(weigh(headers, validators), told);
  });
}

Deno.test("weighConditions() gives no leave for ranges to any method but GET", () => {
  for (const method of ["HEAD", "POST", "PUT"]) assert.equal(weigh({}, STRONG, method), "whole");
});

Deno.test("weighConditions() fails a write where a read would get 304", () => {
  assert.equal(weigh({ "if-none-match": '"a"' }, STRONG, "HEAD"), "not-modified");
  assert.equal(weigh({ "if-modified-since": SAME }, STRONG, "HEAD"), "not-modified");
  assert.equal(weigh({ "if-none-match": "*" }, STRONG, "PUT"), "failed");
  assert.equal(weigh({ "if-modified-since": SAME }, STRONG, "PUT"), "whole");
  assert.equal(weigh({ "if-unmodified-since": BEFORE }, STRONG, "PUT"), "failed");
});

Deno.test("weighConditions() takes no date for strong in its own second", () => {
  assert.equal(weigh({ "if-range": SAME }, STRONG, "GET", MODIFIED + 999), "whole");
  assert.equal(weigh({ "if-range": SAME }, STRONG, "GET", MODIFIED + 1000), "proceed");
});

Deno.test("weighConditions() finds a tag wherever it stands in a list", () => {
  const tag = fc.string({ unit: fc.constantFrom(..."ab,/W *=") }).map((text) => `"${text}"`);
  const gap = fc.constantFrom(",", ", ", " ,", ",,", "\t,\t");
  const tags = fc.array(fc.tuple(tag, gap), { minLength: 1 });
  fc.assert(fc.property(tags, fc.nat(), (list, pick) => {
    const field = list.map(([one, between]) => one + between).join("");
    const [etag] = list[pick % list.length] ?? [""];
    const headers = { "if-none-match": field, "if-match": field };
    assert.equal(weigh(headers, { etag, modifiedMs: undefined }), "not-modified");
    assert.equal(weigh({ "if-match": field }, { etag: '"none"', modifiedMs: 0 }), "failed");
  }));
});
