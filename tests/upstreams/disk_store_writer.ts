/**
 * Stores copies in the folder that it is told, without end, short ones and long ones in pieces; prints a
 * line when it begins, and one for each thing that it was noticed of.
 */
import { DiskStore } from "../../lib/io/disk_store.ts";
import { bodyFor, copyOf } from "../support/stored.ts";

const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

const [folder = "", limit = "Infinity"] = Deno.args;
const store = await DiskStore.open(folder, { maxSize: 2 ** 24, notice: say });
say("begun");
for (let round = 0; round < Number(limit); round++) {
  const url = `http://a/${round % 50}`;
  const body = bodyFor(url, (round * 7919) % 200_000);
  const stored = copyOf(url, { body, tags: [`t${round % 7}`] });
  if (round % 3 === 0) {
    const copy = store.begin(stored, 2 ** 20);
    for (let at = 0; at < body.length; at += 10_000) {
      await copy?.write(body.subarray(at, at + 10_000));
    }
    copy?.end();
  } else store.put(stored);
  if (round % 20 === 0) store.deleteTag("t3");
  await new Promise((resolve) => setTimeout(resolve));
}
await store[Symbol.asyncDispose]();
say(`ended with ${store.count} copies`);
