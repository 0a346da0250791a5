/** What wrk prints, as it has printed it. */
import assert from "node:assert/strict";
import { parseWrk } from "./wrk_output.ts";

const FINE = `Running 2s test @ http://127.0.0.1:8080/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   490.63us    0.88ms  14.76ms   95.36%
    Req/Sec    17.15k     1.93k   19.22k    85.00%
  Latency Distribution
     50%  371.00us
     75%  520.00us
     90%    1.01ms
     99%    4.25ms
  34091 requests in 2.00s, 5.45MB read
Requests/sec:  17035.25
Transfer/sec:      2.72MB
`;

Deno.test("parseWrk() reads rate, latencies and the number of requests", () => {
  assert.deepEqual(parseWrk(FINE), {
    rate: 17035.25,
    p50Ms: 0.371,
    p99Ms: 4.25,
    count: 34091,
    errors: 0,
  });
});

Deno.test("parseWrk() adds up failed connections and answers that are no good", () => {
  const bad = FINE.replace(
    "Requests/sec",
    `  Socket errors: connect 1, read 20, write 300, timeout 4000
  Non-2xx or 3xx responses: 50000
Requests/sec`,
  );
  assert.equal(parseWrk(bad).errors, 54321);
});

Deno.test("parseWrk() reads latencies of seconds and minutes", () => {
  const slow = FINE.replace("371.00us", "1.50s").replace("4.25ms", "2.00m");
  const { p50Ms, p99Ms } = parseWrk(slow);
  assert.deepEqual([p50Ms, p99Ms], [1500, 120_000]);
});

Deno.test("parseWrk() takes no output for no requests", () => {
  assert.deepEqual(parseWrk(""), { rate: 0, p50Ms: 0, p99Ms: 0, count: 0, errors: 0 });
});
