import assert from "node:assert/strict";
import { ProgramLog } from "../../lib/io/program_log.ts";
import { MemoryLog } from "../support/service_log.ts";
import { cuts } from "../support/cuts.ts";

function logOf(...chunks: readonly (string | Uint8Array)[]): readonly string[] {
  const log = new MemoryLog();
  const program = new ProgramLog(log, "id");
  for (const chunk of chunks) {
    program.push(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
  }
  program.end();
  return log.lines;
}

Deno.test("ProgramLog gives whole lines, each with the id", () => {
  assert.deepEqual(logOf("one\ntwo\r\n\nlast"), ["id: one", "id: two", "id: ", "id: last"]);
  assert.deepEqual(logOf(), []);
  assert.deepEqual(logOf("one\n"), ["id: one"]);
});

Deno.test("ProgramLog gives the same lines in every cut, also through a character", () => {
  const text = new TextEncoder().encode("caf\u00e9 \u{1f600}\nnext\n");
  for (const chunks of cuts(text)) {
    assert.deepEqual(logOf(...chunks), ["id: caf\u00e9 \u{1f600}", "id: next"]);
  }
});

Deno.test("ProgramLog caps a line, however it comes, and marks the cap once", () => {
  for (const size of [1, 1000, 2048, 5000, 100_000]) {
    const chunks = Array.from({ length: Math.ceil(10_000 / size) }, () => "x".repeat(size));
    const [line = "", next] = logOf(...chunks, "\nnext\n");
    assert.ok(line === `id: ${"x".repeat(2048)}…`, `${line.length} in pieces of ${size}`);
    assert.equal(next, "id: next");
  }
});

Deno.test("ProgramLog caps the number of lines, and tells how many it left out", () => {
  const lines = logOf("line\n".repeat(1000));
  assert.equal(lines.length, 201);
  assert.equal(lines.at(-1), "id: … 800 more lines left out");
});

Deno.test("ProgramLog lets a program speak again after a while", () => {
  const now = performance.now;
  let time = 0;
  performance.now = () => time;
  try {
    const log = new MemoryLog();
    const program = new ProgramLog(log, "id");
    const say = (text: string) => program.push(new TextEncoder().encode(text));
    say("line\n".repeat(203));
    time = 9999;
    say("line\n");
    assert.equal(log.lines.length, 200);
    time = 10_001;
    say("again\n");
    program.end();
    assert.deepEqual(log.lines.slice(200), ["id: … 4 more lines left out", "id: again"]);
  } finally {
    performance.now = now;
  }
});

Deno.test("ProgramLog keeps an excerpt of bounded length, unfinished line included", () => {
  const program = new ProgramLog(new MemoryLog(), "id");
  program.push(new TextEncoder().encode("first\nsecond"));
  assert.equal(program.excerpt, "first\nsecond");
  program.push(new TextEncoder().encode("x\n".repeat(100_000)));
  assert.ok(program.excerpt.length < 10_000);
  assert.ok(program.excerpt.startsWith("first\nsecondx\n"));
});
