/**
 * Dates in header fields: one form is written, three are read (RFC 9110 §5.6.7). Whole seconds, in
 * milliseconds since 1970.
 *
 * Strictly: what is not exactly one of the three forms is no date, and a condition that names none is
 * ignored. The day's name is read and not compared, for it says nothing that the date does not.
 */
import type { ByteString } from "../exchange.ts";

const DAYS = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const LONG_DAYS = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MONTH = `(?<month>${MONTHS.join("|")})`;
const TIME = "(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)";

/** `Sun, 06 Nov 1994 08:49:37 GMT` */
const IMF_FIXDATE = new RegExp(`^${DAYS}, (?<day>\\d\\d) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`);
/** `Sunday, 06-Nov-94 08:49:37 GMT` */
const RFC_850 = new RegExp(`^${LONG_DAYS}, (?<day>\\d\\d)-${MONTH}-(?<year>\\d\\d) ${TIME} GMT$`);
/** `Sun Nov  6 08:49:37 1994` */
const ASCTIME = new RegExp(`^${DAYS} ${MONTH} (?<day>\\d\\d| \\d) ${TIME} (?<year>\\d{4})$`);

/** Reads a date. Undefined if it is none. `nowMs` tells which century two digits mean. */
export function parseHttpDate(text: ByteString, nowMs = Date.now()): number | undefined {
  const match = IMF_FIXDATE.exec(text) ?? RFC_850.exec(text) ?? ASCTIME.exec(text);
  const parts = match?.groups;
  if (parts === undefined) return undefined;
  const year = Number(parts.year);
  if (parts.year?.length === 4) return timeIn(year, parts);
  // §5.6.7: more than 50 years ahead means the most recent year in the past with those digits.
  const now = new Date(nowMs);
  const century = Math.floor(now.getUTCFullYear() / 100) * 100;
  const limit = now.setUTCFullYear(now.getUTCFullYear() + 50);
  const time = timeIn(century + year, parts);
  return time !== undefined && time > limit ? timeIn(century - 100 + year, parts) : time;
}

type Parts = Readonly<Record<string, string>>;

/** Undefined for a day or a time that does not exist. A leap second is the next minute's first. */
function timeIn(year: number, { month = "", day, hour, minute, second }: Parts) {
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, MONTHS.indexOf(month), Number(day));
  if (date.getUTCDate() !== Number(day)) return undefined;
  return date.setUTCHours(Number(hour), Number(minute), Number(second));
}

/** Writes a date as IMF-fixdate. */
export function formatHttpDate(ms: number): ByteString {
  return new Date(ms).toUTCString();
}
