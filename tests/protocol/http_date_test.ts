import assert from "node:assert/strict";
import fc from "fast-check";
import { formatHttpDate, parseHttpDate } from "../../lib/protocol/http_date.ts";

const NOW = Date.UTC(2026, 5, 15);

const right: [text: string, ms: number][] = [
  // RFC 9110 §5.6.7: the three forms of one moment.
  ["Sun, 06 Nov 1994 08:49:37 GMT", Date.UTC(1994, 10, 6, 8, 49, 37)],
  ["Sunday, 06-Nov-94 08:49:37 GMT", Date.UTC(1994, 10, 6, 8, 49, 37)],
  ["Sun Nov  6 08:49:37 1994", Date.UTC(1994, 10, 6, 8, 49, 37)],
  ["Sun Nov 16 08:49:37 1994", Date.UTC(1994, 10, 16, 8, 49, 37)],
  ["Thu, 29 Feb 2024 00:00:00 GMT", Date.UTC(2024, 1, 29)],
  ["Sat, 31 Dec 2016 23:59:60 GMT", Date.UTC(2017, 0, 1)],
  ["Wed, 01 Jan 0099 00:00:00 GMT", new Date("0099-01-01T00:00:00Z").getTime()],
  // Two digits: at most 50 years ahead.
  ["Friday, 01-Jan-27 00:00:00 GMT", Date.UTC(2027, 0, 1)],
  ["Monday, 15-Jun-76 00:00:00 GMT", Date.UTC(2076, 5, 15)],
  ["Tuesday, 15-Jun-76 00:00:01 GMT", Date.UTC(1976, 5, 15, 0, 0, 1)],
];

for (const [text, ms] of right) {
  Deno.test(`parseHttpDate() reads ${text}`, () => assert.equal(parseHttpDate(text, NOW), ms));
}

const wrong = [
  "",
  "0",
  "now",
  "784111777",
  "1994-11-06T08:49:37Z",
  "Sun, 06 Nov 1994 08:49:37 gmt",
  "sun, 06 Nov 1994 08:49:37 GMT",
  "Sun, 06 nov 1994 08:49:37 GMT",
  "Sun, 06 Nov 1994 08:49:37 +0000",
  "Sun, 06 Nov 1994 08:49:37",
  "Sun, 6 Nov 1994 08:49:37 GMT",
  "Sun, 06  Nov 1994 08:49:37 GMT",
  "Sun,06 Nov 1994 08:49:37 GMT",
  "Sun, 06 Nov 1994 8:49:37 GMT",
  "Sun, 06 Nov 1994 24:00:00 GMT",
  "Sun, 06 Nov 1994 08:60:00 GMT",
  "Sun, 06 Nov 1994 08:49:61 GMT",
  "Sun, 00 Nov 1994 08:49:37 GMT",
  "Sun, 31 Nov 1994 08:49:37 GMT",
  "Wed, 29 Feb 2023 00:00:00 GMT",
  "Sun, 06 Nov 94 08:49:37 GMT",
  "Sun, 06-Nov-94 08:49:37 GMT",
  "Sunday, 06-Nov-1994 08:49:37 GMT",
  "Sun Nov 6 08:49:37 1994",
  "Sun Nov  6 08:49:37 1994 GMT",
  "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
  "Sun, 06 Nov 1994 08:49:37 GMT; length=1",
  "Sun, 06 Nov 1994 08:49:37 GMT\n",
];

for (const text of wrong) {
  Deno.test(`parseHttpDate() finds no date in ${JSON.stringify(text)}`, () => {
    assert.equal(parseHttpDate(text, NOW), undefined);
  });
}

Deno.test("formatHttpDate() writes what parseHttpDate() reads", () => {
  assert.equal(formatHttpDate(Date.UTC(1994, 10, 6, 8, 49, 37)), "Sun, 06 Nov 1994 08:49:37 GMT");
  const seconds = fc.integer({ min: 0, max: 253_402_300_799 });
  fc.assert(fc.property(seconds, (at) => {
    assert.equal(parseHttpDate(formatHttpDate(at * 1000)), at * 1000);
  }));
});
