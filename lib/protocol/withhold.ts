/** Fields that no program may see: one more than was withheld before. */

export type Withholds = (lowerName: string) => boolean;

/**
 * Adds a field, by its lower-case name, to whatever withholds others. There are few functions to add it
 * to, and many requests: each sum is made once.
 */
export function withholding(field: string): (withholds: Withholds) => Withholds {
  const made = new WeakMap<Withholds, Withholds>();
  return (withholds) => {
    const known = made.get(withholds);
    if (known !== undefined) return known;
    const both = (name: string) => name === field || withholds(name);
    made.set(withholds, both);
    return both;
  };
}
