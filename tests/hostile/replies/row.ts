/**
 * How the tables of upstreams' replies are written: the bytes as Latin-1 text, and what must come of them
 * in words: the status; the body in quotes, or the failure's name in the log; `cut` where the body broke
 * off, with the failure's name; for connections that could be kept, `kept` or `dropped`. A row that ends
 * in `close` has the upstream close its connection behind the bytes.
 */
export type ReplyRow = readonly [what: string, sends: string, outcome: string, then?: "close"];
