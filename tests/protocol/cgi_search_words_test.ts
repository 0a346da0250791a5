import assert from "node:assert/strict";
import fc from "fast-check";
import { searchWords } from "../../lib/protocol/cgi_search_words.ts";

const READ: readonly [query: string, words: string[]][] = [
  ["one", ["one"]],
  ["two+words", ["two", "words"]],
  ["a%20b+c", ["a b", "c"]],
  ["a%2Bb%3Dc", ["a+b=c"]],
  ["caf%C3%A9", ["caf\u00e9"]],
  ["%EF%BB%BFa", ["\ufeffa"]],
  ["a/b;c?d:e@f&g,h$", ["a/b;c?d:e@f&g,h$"]],
  ["a-b+c--d", ["a-b", "c--d"]],
  ["%0A", ["\n"]],
  ["%2525", ["%25"]],
];

const REFUSED: Readonly<Record<string, string>> = {
  "no query": "",
  "an unencoded =": "a=b",
  "an unencoded = in one word": "a+b=",
  "an empty word": "a++b",
  "an empty first word": "+a",
  "an empty last word": "a+",
  "a NUL": "a+b%00c",
  "bytes that are no UTF-8": "a+%ff",
  "half a character": "%c3+%a9",
  "a surrogate": "%ed%a0%80",
  "a malformed escape": "a+%zz",
  "a cut escape": "a%2",
  "a character outside the grammar": "a+[b]",
  "bytes beyond ASCII": "caf\xc3\xa9",
  "an option": "-s",
  "an option behind a word": "a+-s",
  "an encoded option": "%2ds",
  "a dash": "a+-",
  "more words than any command line needs": Array(257).fill("a").join("+"),
};

for (const [query, words] of READ) {
  Deno.test(`RFC 3875 §4.4: searchWords() reads ${query}`, () => {
    assert.deepEqual(searchWords("GET", query), words);
    assert.deepEqual(searchWords("HEAD", query), words);
  });
}

for (const [what, query] of Object.entries(REFUSED)) {
  Deno.test(`RFC 3875 §4.4: searchWords() gives none of a query with ${what}`, () => {
    assert.deepEqual(searchWords("GET", query), []);
  });
}

Deno.test("RFC 3875 §4.4: searchWords() is for GET and HEAD alone", () => {
  for (const method of ["POST", "PUT", "DELETE", "get", "SEARCH"]) {
    assert.deepEqual(searchWords(method, "one"), [], method);
  }
});

const fitWord = fc.string({ unit: "binary", minLength: 1, maxLength: 20 })
  .filter((word) => word.isWellFormed() && !word.startsWith("-") && !word.includes("\0"));

Deno.test("RFC 3875 §4.4: searchWords() gives back any words that were encoded", () => {
  fc.assert(fc.property(fc.array(fitWord, { minLength: 1, maxLength: 9 }), (words) => {
    assert.deepEqual(searchWords("GET", words.map(encodeURIComponent).join("+")), words);
  }));
});

Deno.test("RFC 3875 §4.4: searchWords() gives no option, no NUL and no part of a query", () => {
  const pieces = fc.constantFrom(
    "+",
    "=",
    "-",
    "%2d",
    "%00",
    "%ff",
    "%",
    "a",
    "%20",
    "\xe9",
    "%3D",
  );
  fc.assert(fc.property(fc.array(pieces).map((all) => all.join("")), (query) => {
    const words = searchWords("GET", query);
    assert.ok(words.length === 0 || words.length === query.split("+").length);
    for (const word of words) {
      assert.ok(word !== "" && !word.startsWith("-") && !word.includes("\0"));
    }
  }));
});
