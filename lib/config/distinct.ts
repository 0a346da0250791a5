import * as v from "valibot";
import { quote } from "../values.ts";

/** A check on lists: no two items have the same name. Items without a name may repeat. */
export function distinct<Item>(nameOf: (item: Item) => string | undefined) {
  return v.rawCheck<Item[]>(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const input = dataset.value;
    const seen = new Set<string>();
    input.forEach((value, key) => {
      const name = nameOf(value);
      if (name === undefined) return;
      if (seen.has(name)) {
        const message = `Cannot list ${quote(name)} twice: keep one`;
        addIssue({ message, path: [{ type: "array", origin: "value", input, key, value }] });
      }
      seen.add(name);
    });
  });
}
