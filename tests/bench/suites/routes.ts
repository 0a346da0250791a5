/** What the length of the table costs: the last of 10 routes beside the last of 1,000. */
import { portico } from "../peers/portico.ts";
import type { Contender, Suite } from "../model.ts";
import { HELLO_BYTES, rate } from "./works.ts";

export const routes: Suite = {
  name: "routes",
  title: "Routes",
  plan: () =>
    Promise.resolve({
      contenders: [tableOf(10), tableOf(1000)],
      works: rate("hello", "/application-last/file", HELLO_BYTES, [16]),
    }),
};

/** Two kinds of paths in turn: prefixes, and parameters in the middle. */
function tableOf(size: number): Contender {
  const paths = Array.from(
    { length: size - 1 },
    (_, number) => number % 2 === 0 ? `/application-${number}/*` : `/resource-${number}/:id/items`,
  );
  const lines = [...paths, "/application-last/*"]
    .map((path) => `  - {path: "${path}", respond: "Hello, world!\\n"}`);
  return portico(lines.join("\n"), { name: `Portico, ${size.toLocaleString("en")} routes` });
}
