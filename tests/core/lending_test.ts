/** How places at programs are shared out among workers. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Loan } from "../../lib/lender.ts";
import type { Endpoint, EndpointSink } from "../../lib/io/endpoint.ts";
import { type Client, Lending } from "../../lib/workers/lending.ts";

/** Programs that are there, or not. */
class Source {
  sink: EndpointSink | undefined;
  grown = 0;
  attach(sink: EndpointSink): void {
    this.sink = sink;
  }
  grow(): void {
    this.grown++;
  }
  status() {
    return {};
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

function endpoint(name: string, max = 1): Endpoint & { readonly uses: { begun: number } } {
  const uses = { begun: 0 };
  const usage = { begin: () => void uses.begun++, end: () => void uses.begun-- };
  return { address: { transport: "unix", path: name }, max, usage, uses };
}

/** A worker with so many requests at a time, each of which takes a place until it is told to end. */
class Worker implements Client {
  readonly loans = new Map<number, Loan & { busy: number; leaving: boolean }>();
  waiting = 0;
  readonly #lending: Lending;

  constructor(lending: Lending) {
    this.#lending = lending;
    lending.join(this);
  }

  get places(): number {
    return Array.from(this.loans.values(), ({ count }) => count).reduce((a, b) => a + b, 0);
  }

  lend(loan: Loan): void {
    this.loans.set(loan.id, { ...loan, busy: 0, leaving: false });
    queueMicrotask(() => this.#work());
  }

  /** Like all that it is told: in order, and not at once. */
  recall(count: number): void {
    queueMicrotask(() => this.#recall(count));
  }

  #recall(count: number): void {
    let left = count;
    for (const loan of [...this.loans.values()].sort((a, b) => a.busy - b.busy)) {
      if (left <= 0) return;
      left -= loan.count;
      this.#withdraw(loan.id);
    }
  }

  withdraw(id: number): void {
    queueMicrotask(() => this.#withdraw(id));
  }

  #withdraw(id: number): void {
    const loan = this.loans.get(id);
    if (loan === undefined) return;
    loan.leaving = true;
    this.#settle();
  }

  ask(count = 1): void {
    this.waiting += count;
    this.#work();
  }

  /** Ends one request. */
  end(): void {
    const loan = [...this.loans.values()].find(({ busy }) => busy > 0);
    if (loan === undefined) return;
    loan.busy--;
    this.#lending.used(this, [[loan.id, 0, 1]]);
    this.#settle();
    this.#work();
  }

  #work(): void {
    for (const loan of this.loans.values()) {
      while (this.waiting > 0 && !loan.leaving && loan.busy < loan.count) {
        loan.busy++;
        this.waiting--;
        this.#lending.used(this, [[loan.id, 1, 0]]);
      }
    }
    this.#lending.want(this, this.waiting);
  }

  #settle(): void {
    for (const { id, busy, leaving } of [...this.loans.values()]) {
      if (!leaving || busy > 0) continue;
      this.loans.delete(id);
      queueMicrotask(() => this.#lending.returned(this, id));
    }
  }
}

const turn = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("Lending spreads places evenly while nobody waits", () => {
  const source = new Source();
  const lending = new Lending(source);
  const workers = [new Worker(lending), new Worker(lending)];
  source.sink?.add(endpoint("a", 4));
  for (const name of ["b", "c"]) source.sink?.add(endpoint(name));
  assert.deepEqual(workers.map(({ places }) => places), [3, 3]);
});

Deno.test("Lending moves an idle place to who waits, though another has it", async () => {
  const source = new Source();
  const lending = new Lending(source);
  const [one, other] = [new Worker(lending), new Worker(lending)];
  const program = endpoint("a");
  source.sink?.add(program);
  for (const worker of [one, other, one, other]) {
    worker.ask();
    await turn(50);
    assert.equal(worker.waiting, 0);
    assert.equal(program.uses.begun, 1);
    worker.end();
  }
  assert.ok(source.grown > 0, "more programs are asked for, too");
});

Deno.test("Lending gives turns to both where both wait for one place", async () => {
  const source = new Source();
  const lending = new Lending(source);
  const workers = [new Worker(lending), new Worker(lending)];
  source.sink?.add(endpoint("a"));
  workers.forEach((worker) => worker.ask(1000));
  for (let round = 0; round < 100; round++) {
    await turn(2);
    workers.forEach((worker) => worker.end());
  }
  const [one = 0, other = 0] = workers.map(({ waiting }) => 1000 - waiting);
  assert.ok(one > 5 && other > 5, `${one} and ${other}`);
  lending.leave(workers[0] ?? assert.fail());
  lending.leave(workers[1] ?? assert.fail());
});

Deno.test("Lending asks somebody else where who was asked is busy for long", async () => {
  const source = new Source();
  const lending = new Lending(source);
  const workers = Array.from({ length: 3 }, () => new Worker(lending));
  for (const name of ["a", "b", "c"]) source.sink?.add(endpoint(name));
  const [one, busy, idle] = workers;
  assert.ok(one && busy && idle);
  one.ask(1);
  busy.ask(1);
  await turn();
  one.ask(1);
  await turn(200);
  assert.equal(one.waiting, 0, "the idle one's is lent");
  assert.equal(idle.places, 0);
});

Deno.test("Lending takes back what a worker had that has ended, and counts its requests as over", () => {
  const source = new Source();
  const lending = new Lending(source);
  const [one, other] = [new Worker(lending), new Worker(lending)];
  const programs = [endpoint("a"), endpoint("b")];
  for (const program of programs) source.sink?.add(program);
  one.ask();
  assert.equal(programs.reduce((sum, { uses }) => sum + uses.begun, 0), 1);
  lending.leave(one);
  assert.equal(programs.reduce((sum, { uses }) => sum + uses.begun, 0), 0);
  assert.equal(other.places, 2);
});

Deno.test("Lending lets a program go once all of its places are back", async () => {
  const source = new Source();
  const lending = new Lending(source);
  const worker = new Worker(lending);
  const program = endpoint("a", 2);
  source.sink?.add(program);
  worker.ask(2);
  let gone = false;
  source.sink?.remove(program).then(() => gone = true);
  await turn();
  assert.equal(gone, false);
  worker.end();
  worker.end();
  await turn();
  assert.equal(gone, true);
  assert.equal(worker.places, 0);
});

Deno.test("Lending never lends a place twice, and serves everybody in the end", async () => {
  const step = fc.tuple(fc.nat(2), fc.constantFrom("ask", "end"));
  const sizes = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(step, { maxLength: 30 }), async (places, steps) => {
      const source = new Source();
      const lending = new Lending(source);
      const workers = Array.from({ length: 3 }, () => new Worker(lending));
      places.forEach((max, index) => source.sink?.add(endpoint(String(index), max)));
      const total = places.reduce((a, b) => a + b, 0);
      for (const [index, what] of steps) {
        if (what === "ask") workers[index]?.ask();
        else workers[index]?.end();
        await Promise.resolve();
        assert.ok(workers.reduce((sum, worker) => sum + worker.places, 0) <= total);
      }
      for (let round = 0; workers.some(({ waiting }) => waiting > 0); round++) {
        assert.ok(round < 500, "somebody waits for ever");
        await turn(2);
        for (const worker of workers) worker.end();
      }
      for (const worker of workers) lending.leave(worker);
    }),
    { numRuns: 20 },
  );
});
