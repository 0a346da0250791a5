/** Who gets the next request, against a model that says the same in other words. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Balance, Balancer, HEALTH, type Member, Tally } from "../../lib/io/balancer.ts";

class Place implements Member {
  load = 0;
  readonly tally = new Tally();
  max = Infinity;
  constructor(readonly name: string, readonly backup = false) {}
  get hasRoom(): boolean {
    return this.load < this.max;
  }
}

interface Bench {
  readonly balancer: Balancer<Place>;
  readonly places: readonly Place[];
  readonly notices: string[];
  /** Lets time pass. */
  pass(ms: number): void;
  /** Picks `count` times and gives the names; `keep`: the requests stay. */
  picks(count: number, keep?: boolean): string;
}

function bench(names: string, balance: Balance = "least-connections"): Bench {
  const clock = { now: 1 };
  const notices: string[] = [];
  const balancer = new Balancer<Place>({
    balance,
    health: HEALTH,
    now: () => clock.now,
    notice: (message) => notices.push(message),
  });
  // A small letter is a backup.
  const places = [...names].map((name) => new Place(name, name > "Z"));
  for (const place of places) balancer.add(place);
  return {
    balancer,
    places,
    notices,
    pass: (ms) => clock.now += ms,
    picks(count, keep = false) {
      let order = "";
      for (let index = 0; index < count; index++) {
        const place = balancer.pick();
        order += place?.name ?? "-";
        if (keep && place !== undefined) place.load++;
      }
      return order;
    },
  };
}

function fail({ balancer, places }: Bench, name: string, times = 3): void {
  const place = places.find((place) => place.name === name) ?? assert.fail(name);
  for (let count = 0; count < times; count++) balancer.failed(place, "refused");
}

function succeed({ balancer, places }: Bench, name: string): void {
  balancer.succeeded(places.find((place) => place.name === name) ?? assert.fail(name));
}

Deno.test("Balancer gives to who has least, and to the first among equals", () => {
  assert.equal(bench("ABC").picks(7, true), "ABCABCA");
  assert.equal(bench("ABC").picks(3), "AAA");
});

Deno.test("Balancer takes turns under round-robin, whatever the load", () => {
  const scene = bench("ABC", "round-robin");
  scene.places[0]!.load = 100;
  assert.equal(scene.picks(7), "ABCABCA");
});

Deno.test("Balancer passes over who has no room, and gives up when nobody has", () => {
  for (const balance of ["least-connections", "round-robin"] as const) {
    const scene = bench("AB", balance);
    scene.places[0]!.max = 1;
    scene.places[1]!.max = 2;
    assert.equal(scene.picks(4, true), "ABB-");
  }
});

Deno.test("Balancer leaves one out after three failures in a row, not after two", () => {
  const scene = bench("AB");
  fail(scene, "A", 2);
  succeed(scene, "A");
  fail(scene, "A", 2);
  assert.equal(scene.picks(1), "A");
  fail(scene, "A", 1);
  assert.equal(scene.picks(3), "BBB");
  assert.deepEqual(scene.notices, ["A is down after 3 failures: refused"]);
});

Deno.test("Balancer tries one request when the time is over, and takes back who answers", () => {
  const scene = bench("AB");
  fail(scene, "A");
  scene.pass(999);
  assert.equal(scene.picks(1), "B");
  scene.pass(1);
  assert.equal(scene.picks(3), "ABB");
  succeed(scene, "A");
  assert.equal(scene.picks(1), "A");
  assert.deepEqual(scene.notices.slice(1), ["A is back"]);
});

Deno.test("Balancer waits twice as long after each trial, up to half a minute", () => {
  const scene = bench("AB");
  fail(scene, "A");
  const waits = [];
  for (let round = 0; round < 8; round++) {
    let waited = 0;
    while (scene.picks(1) === "B") {
      scene.pass(500);
      waited += 500;
    }
    waits.push(waited);
    fail(scene, "A", 1);
  }
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  assert.equal(scene.notices.length, 1, "it went down once");
});

Deno.test("Balancer is not moved by failures of requests from before", () => {
  const scene = bench("AB");
  fail(scene, "A", 64);
  scene.pass(1000);
  assert.equal(scene.picks(1), "A");
});

Deno.test("Balancer tries again though a trial was lost", () => {
  const scene = bench("AB");
  fail(scene, "A");
  scene.pass(1000);
  assert.equal(scene.picks(2), "AB");
  scene.pass(1000);
  assert.equal(scene.picks(1), "A");
});

Deno.test("Balancer spares the backups while another is up, be it full", () => {
  const scene = bench("ABc");
  scene.places[0]!.max = 1;
  scene.places[1]!.max = 1;
  assert.equal(scene.picks(3, true), "AB-");
  fail(scene, "A");
  assert.equal(scene.picks(1, true), "-");
  fail(scene, "B");
  assert.equal(scene.picks(2, true), "cc");
  scene.places[0]!.load = 0;
  scene.pass(1000);
  assert.equal(scene.picks(1), "A");
});

Deno.test("Balancer turns to a backup for a request that all others failed", () => {
  const { balancer, places: [a, b, c] } = bench("ABc");
  assert.equal(balancer.pick(new Set([a!])), b);
  assert.equal(balancer.pick(new Set([a!, b!])), c);
  assert.equal(balancer.pick(new Set([a!, b!, c!])), undefined);
});

Deno.test("Balancer tries who is due first when all are down", () => {
  const scene = bench("ABc");
  fail(scene, "B");
  scene.pass(10);
  fail(scene, "A");
  scene.pass(10);
  fail(scene, "c");
  assert.equal(scene.picks(2), "BB");
  scene.places[1]!.max = 0;
  assert.equal(scene.picks(1), "A");
});

Deno.test("Balancer always tries the only one there is", () => {
  const scene = bench("A");
  fail(scene, "A", 5);
  assert.equal(scene.picks(3), "AAA");
  succeed(scene, "A");
  assert.deepEqual(scene.notices, ["A is down after 3 failures: refused", "A is back"]);
});

Deno.test("Balancer forgets who was removed, and knows who comes again as new", () => {
  const scene = bench("AB", "round-robin");
  const [a] = scene.places;
  assert.equal(scene.picks(1), "A");
  fail(scene, "A");
  scene.balancer.remove(a!);
  scene.balancer.failed(a!, "late");
  scene.balancer.succeeded(a!);
  assert.equal(scene.balancer.failingSince(a!), undefined);
  assert.equal(scene.picks(2), "BB");
  scene.balancer.add(a!);
  scene.balancer.remove(new Place("Z"));
  assert.equal(scene.picks(4), "BABA");
});

Deno.test("Balancer knows since when one fails", () => {
  const scene = bench("A");
  const [a] = scene.places;
  scene.pass(6);
  fail(scene, "A", 1);
  scene.pass(10);
  fail(scene, "A", 1);
  assert.equal(scene.balancer.failingSince(a!), 7);
  succeed(scene, "A");
  assert.equal(scene.balancer.failingSince(a!), undefined);
});

type Step =
  | { readonly do: "pick" | "leave" | "fail" | "succeed"; readonly at: number }
  | { readonly do: "pass"; readonly at: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom("pick" as const, "pick" as const, "leave" as const),
    at: fc.nat(4),
  }),
  fc.record({ do: fc.constantFrom("fail" as const, "succeed" as const), at: fc.nat(4) }),
  fc.record({ do: fc.constant("pass" as const), at: fc.nat(2000) }),
);

/** What the rules say of one place, kept without the balancer. */
class Fate {
  row = 0;
  down = false;
}

Deno.test("Balancer keeps its rules whatever happens", () => {
  const names = fc.stringMatching(/^(A?B?C?d?e?)$/).filter((text) => text.length > 1);
  const balances = fc.constantFrom("least-connections" as const, "round-robin" as const);
  fc.assert(
    fc.property(names, balances, fc.array(step, { maxLength: 80 }), (text, balance, steps) => {
      const scene = bench(text, balance);
      const { balancer, places } = scene;
      const fates = new Map(places.map((place) => [place, new Fate()]));
      const fate = (place: Place) => fates.get(place) ?? assert.fail();
      for (const place of places) place.max = 3;
      for (const { do: action, at } of steps) {
        const place = places[at % places.length] ?? assert.fail();
        if (action === "pass") scene.pass(at);
        else if (action === "leave") place.load = Math.max(0, place.load - 1);
        else if (action === "succeed") {
          balancer.succeeded(place);
          fates.set(place, new Fate());
        } else if (action === "fail") {
          balancer.failed(place, "x");
          fate(place).row++;
          fate(place).down ||= fate(place).row >= HEALTH.failures;
        } else {
          const tried = new Set(places.filter((_, index) => index < at - 2));
          const picked = balancer.pick(tried);
          const able = places.filter((one) => !tried.has(one) && one.hasRoom);
          const up = able.filter((one) => !fate(one).down);
          const anyUp = (backup: boolean) =>
            places.some((one) => one.backup === backup && !tried.has(one) && !fate(one).down);
          if (picked === undefined) {
            // Nobody can, or those who are up are full.
            assert.ok(able.length === 0 || anyUp(false) || anyUp(true));
            assert.ok(up.every(({ backup }) => backup));
            continue;
          }
          assert.ok(able.includes(picked));
          if (picked.backup) assert.ok(!anyUp(false), "a primary is up");
          const trial = fate(picked).down;
          const peers = up.filter(({ backup }) => backup === picked.backup);
          if (!trial && balance === "least-connections") {
            assert.ok(peers.every(({ load }) => load >= picked.load));
          }
          picked.load++;
        }
      }
      const downs = scene.notices.filter((notice) => notice.includes("is down")).length;
      const backs = scene.notices.filter((notice) => notice.includes("is back")).length;
      const still = places.filter((place) => fate(place).down).length;
      assert.equal(downs - backs, still);
    }),
  );
});

Deno.test("Balancer under round-robin gives everybody the same, give or take one", () => {
  fc.assert(fc.property(fc.integer({ min: 2, max: 6 }), fc.nat(40), (count, picks) => {
    const scene = bench("ABCDEF".slice(0, count), "round-robin");
    const order = scene.picks(picks);
    const shares = scene.places.map(({ name }) => order.split(name).length - 1);
    assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
  }));
});
