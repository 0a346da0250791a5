/** A short form, which is text, or a map of fields: whichever was meant says what is wrong with it. */
import * as v from "valibot";

export function shortOrLong<Short extends v.GenericSchema, Long extends v.GenericSchema>(
  short: Short,
  long: Long,
) {
  return v.union([short, long], (issue) => {
    const [ofShort, ofLong] = [issue.issues?.[0], issue.issues?.at(-1)];
    const meant = typeof issue.input === "object" && issue.input !== null ? ofLong : ofShort;
    return meant?.message ?? "Cannot read this: write text or a map";
  });
}
