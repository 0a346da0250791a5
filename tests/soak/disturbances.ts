/** What an operator and bad luck do to a gateway while it serves. */
import { childrenOf } from "./meter.ts";
import type { Site } from "./site.ts";
import type { Weather } from "./tally.ts";

/** One after the other, `everyMs` apart, until it is over; gives how many there were. */
export async function disturb(
  site: Site,
  weather: Weather,
  { isOver, everyMs }: { readonly isOver: () => boolean; readonly everyMs: number },
): Promise<number> {
  let turn = 0;
  for (; !isOver(); turn++) {
    const at = performance.now();
    await DISTURBANCES[turn % DISTURBANCES.length]?.(site, weather, turn);
    while (!isOver() && performance.now() < at + everyMs) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return turn;
}

type Disturbance = (site: Site, weather: Weather, turn: number) => Promise<void>;

const DISTURBANCES: readonly Disturbance[] = [
  byHangUp,
  (site, weather) => weather.storm("fpm", () => site.fpm.restart()),
  byAdmin,
  (site, weather) => weather.storm("origin", () => site.origin.restart()),
  (site) => site.rotate(),
  killOne,
  byHangUp,
  (site, weather) => weather.storm("uwsgi", () => site.uwsgi.restart()),
  byAdmin,
  byHalfTable,
];

async function byHangUp(site: Site, _: Weather, turn: number): Promise<void> {
  await site.rewrite(turn);
  site.gateway.signal("SIGHUP");
}

async function byAdmin(site: Site, _: Weather, turn: number): Promise<void> {
  await site.rewrite(turn);
  const response = await fetch(`${site.admin}/reload`, { method: "POST" });
  const text = await response.text();
  if (!response.ok) throw new Error(`Not reloaded: ${text}`);
}

/** Nobody is to notice. */
async function byHalfTable(site: Site): Promise<void> {
  await site.spoil();
  const response = await fetch(`${site.admin}/reload`, { method: "POST" });
  await response.body?.cancel();
  if (response.status !== 422) throw new Error(`A half-written table: ${response.status}`);
}

/** One of the programs that the gateway keeps running dies. */
async function killOne(site: Site, weather: Weather): Promise<void> {
  const programs = childrenOf(site.gateway.pid).filter((pid) => /php-cgi|python/.test(nameOf(pid)));
  const victim = programs[Math.floor(Math.random() * programs.length)];
  if (victim === undefined) throw new Error("The gateway keeps no program running");
  await weather.storm("children", () => {
    Deno.kill(victim, "SIGKILL");
    return Promise.resolve();
  });
}

function nameOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return "";
  }
}
