import assert from "node:assert/strict";
import fc from "fast-check";
import { drawMarker, statusOf, UsageFilter } from "../../lib/io/cgi_usage.ts";

const MARKER = "portico-usage-1";
const LINE = `${MARKER} 0.25 0.07 12345 3\n`;
const FIGURES = { cpuMs: 320, peakBytes: 12345 * 1024, code: 3 };

/** Sends text in pieces that begin at these places, by way of one buffer that is used again. */
function filtered(text: string, cuts: readonly number[] = []) {
  const filter = new UsageFilter(MARKER);
  const bytes = new TextEncoder().encode(text);
  const buffer = new Uint8Array(bytes.length);
  let passed = "";
  const places = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])];
  places.sort((a, b) => a - b);
  for (let index = 1; index < places.length; index++) {
    const piece = bytes.subarray(places[index - 1], places[index]);
    buffer.set(piece);
    passed += latin1(filter.push(buffer.subarray(0, piece.length)));
    buffer.fill(0x21);
  }
  passed += latin1(filter.end());
  return { passed, usage: filter.usage };
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

Deno.test("UsageFilter takes the figures out and nothing else", () => {
  const rows: [text: string, passed: string][] = [
    [LINE, ""],
    [`one\ntwo\n${LINE}`, "one\ntwo\n"],
    [`no end of line${LINE}`, "no end of line"],
    [`before\n${LINE}after\n`, "before\nafter\n"],
    [`${MARKER} 9.99 9.99 1 0\n${LINE}`, ""],
    [`${MARKER}${LINE}`, MARKER],
    [`${MARKER} forged\n${LINE}`, `${MARKER} forged\n`],
    [`${MARKER} ${"9".repeat(200)}${LINE}`, `${MARKER} ${"9".repeat(200)}`],
    [`portico-portico-usage-${LINE}`, "portico-portico-usage-"],
  ];
  for (const [text, passed] of rows) {
    assert.deepEqual(filtered(text), { passed, usage: FIGURES }, text);
  }
});

Deno.test("UsageFilter gives back all of a stream without whole figures", () => {
  const rows = ["", "one\n", "portico-usage-", `one\n${MARKER}`, `one\n${LINE.slice(0, -1)}`];
  for (const text of rows) assert.deepEqual(filtered(text), { passed: text, usage: undefined });
});

Deno.test("UsageFilter does not hold back what cannot be the marker", () => {
  const filter = new UsageFilter(MARKER);
  assert.equal(latin1(filter.push(new TextEncoder().encode("help: port"))), "help: ");
  assert.equal(latin1(filter.push(new TextEncoder().encode("s\n"))), "ports\n");
});

Deno.test("UsageFilter gives the same in any pieces", () => {
  const word = fc.constantFrom(MARKER, "portico-", "p", "x", "\n", " 0.01", " 1 2 3 4\n", LINE);
  fc.assert(fc.property(
    fc.array(word, { maxLength: 8 }).map((words) => words.join("")),
    fc.array(fc.nat(120)),
    (text, cuts) => {
      assert.deepEqual(filtered(text, cuts), filtered(text));
      assert.deepEqual(filtered(text + LINE, cuts).usage, FIGURES);
    },
  ));
});

Deno.test("statusOf() tells a signal from an exit that looks like one", () => {
  const exited = (code: number) => ({ success: code === 0, code, signal: null });
  const usage = (code: number) => ({ cpuMs: 0, peakBytes: 0, code });
  assert.deepEqual(statusOf(exited(0), usage(0)), exited(0));
  assert.deepEqual(statusOf(exited(3), usage(3)), exited(3));
  assert.deepEqual(statusOf(exited(137), usage(137)), exited(137));
  assert.deepEqual(statusOf(exited(137), undefined), exited(137));
  const names = { 129: "SIGHUP", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM", 152: "SIGXCPU" };
  for (const [code, signal] of Object.entries(names)) {
    assert.deepEqual(statusOf(exited(Number(code)), usage(0)), {
      success: false,
      code: Number(code),
      signal,
    });
  }
  const killed = { success: false, code: 137, signal: "SIGKILL" } as const;
  assert.deepEqual(statusOf(killed, undefined), killed);
});

Deno.test("drawMarker() draws another each time", () => {
  assert.notEqual(drawMarker(), drawMarker());
});
