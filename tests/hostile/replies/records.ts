/** FastCGI records that no responder should send. */
import { latin1FromBytes } from "../../../lib/protocol/latin1.ts";
import { record as bytesOf } from "../../upstreams/raw_fastcgi.ts";
import type { ReplyRow } from "./row.ts";

const record = (...facts: Parameters<typeof bytesOf>) => latin1FromBytes(bytesOf(...facts));
const TYPE = "Content-Type: text/plain\n\n";
const out = (text: string, options = {}) => record(6, text, options);
const OUT = out(`${TYPE}hello`);
const NOTHING = out("");
const end = (app = "\0\0\0\0", protocol = "\0") => record(3, `${app}${protocol}\0\0\0`);
const END = end();
const GOOD = OUT + NOTHING + END;

export const RECORDS: readonly ReplyRow[] = [
  ["a reply", GOOD, '200 "hello" kept'],
  ["no empty STDOUT", OUT + END, '200 "hello" kept'],
  [
    "a record for each byte",
    [...`${TYPE}hello`].map((char) => out(char)).join("") + END,
    '200 "hello" kept',
  ],
  ["padding of 255 bytes", out(`${TYPE}hello`, { padding: 255 }) + END, '200 "hello" kept'],
  ["the reply of another request", out(`${TYPE}evil`, { id: 2 }) + GOOD, '200 "hello" kept'],
  ["the reply of request 0", out(`${TYPE}evil`, { id: 0 }) + GOOD, '200 "hello" kept'],
  ["the reply of request 65535", out(`${TYPE}evil`, { id: 65_535 }) + GOOD, '200 "hello" kept'],
  ["the end of another request", record(3, "\0".repeat(8), { id: 2 }) + GOOD, '200 "hello" kept'],
  ["the end at once", END, "502 no-output dropped"],
  ["the end before the rest", out(TYPE) + END + out("hello"), '200 "" dropped'],
  ["two ends", GOOD + END, '200 "hello" dropped'],
  ["two replies", GOOD + GOOD, '200 "hello" dropped'],
  ["half a record behind the end", GOOD + out("x").slice(0, 4), '200 "hello" dropped'],
  ["STDOUT behind its own end", OUT + NOTHING + out("more") + END, '200 "hello" dropped'],
  ["STDERR behind the end", GOOD + record(7, "oh"), '200 "hello" dropped'],
  ["STDERR with control characters", record(7, "\x1b[2J\0\x07\n") + GOOD, '200 "hello" kept'],
  ["STDERR alone", record(7, "it broke in /srv/secret\n") + END, "502 no-output dropped"],
  ["an application status", OUT + end("\0\0\0\x01"), '200 "hello" kept'],
  ["the largest application status", OUT + end("\xff\xff\xff\xff"), '200 "hello" kept'],
  ["CANT_MPX_CONN", end("\0\0\0\0", "\x01"), "502 fcgi-cant-mpx dropped"],
  ["OVERLOADED", end("\0\0\0\0", "\x02"), "503 fcgi-overloaded dropped"],
  ["UNKNOWN_ROLE", end("\0\0\0\0", "\x03"), "502 fcgi-unknown-role dropped"],
  ["a protocol status that is none", OUT + end("\0\0\0\0", "\x04"), "502 fcgi-record dropped"],
  ["OVERLOADED behind a head", OUT + end("\0\0\0\0", "\x02"), "503 fcgi-overloaded dropped"],
  ["an END_REQUEST of nothing", OUT + record(3, ""), "502 fcgi-record dropped"],
  ["an END_REQUEST of seven bytes", OUT + record(3, "\0".repeat(7)), "502 fcgi-record dropped"],
  ["an END_REQUEST of a hundred bytes", OUT + record(3, "\0".repeat(100)), '200 "hello" kept'],
  ["version 0", record(6, `${TYPE}hello`, { version: 0 }) + END, "502 fcgi-version dropped"],
  ["version 2", record(6, `${TYPE}hello`, { version: 2 }) + END, "502 fcgi-version dropped"],
  [
    "version 255 behind the head",
    OUT + record(6, "x", { version: 255 }),
    "502 fcgi-version dropped",
  ],
  ["HTTP", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "502 fcgi-version dropped"],
  ["a CGI reply without records", `${TYPE}hello`, "502 fcgi-version dropped"],
  ["zeros", "\0".repeat(100), "502 fcgi-version dropped"],
  ["type 0", record(0, "what") + GOOD, '200 "hello" kept'],
  ["type 255", record(255, "what") + GOOD, '200 "hello" kept'],
  ["type 99 without content", record(99, "") + GOOD, '200 "hello" kept'],
  ["BEGIN_REQUEST", record(1, "\0\x01\0\0\0\0\0\0") + GOOD, '200 "hello" kept'],
  ["BEGIN_REQUEST of two bytes", record(1, "\0\x01") + GOOD, "502 fcgi-record dropped"],
  ["ABORT_REQUEST", record(2, "") + GOOD, '200 "hello" kept'],
  ["PARAMS", record(4, "\x01\x01ab") + GOOD, '200 "hello" kept'],
  ["STDIN", record(5, "evil") + GOOD, '200 "hello" kept'],
  ["DATA", record(8, "evil") + GOOD, '200 "hello" kept'],
  ["GET_VALUES", record(9, "\x0e\0FCGI_MAX_CONNS", { id: 0 }) + GOOD, '200 "hello" kept'],
  ["GET_VALUES_RESULT that is cut", record(10, "\x7f\x7fa", { id: 0 }) + GOOD, '200 "hello" kept'],
  ["UNKNOWN_TYPE", record(11, "\x09\0\0\0\0\0\0\0", { id: 0 }) + GOOD, '200 "hello" kept'],
  ["UNKNOWN_TYPE of nothing", record(11, "", { id: 0 }) + GOOD, "502 fcgi-record dropped"],
  ["a thousand empty STDERR records", record(7, "").repeat(1000) + GOOD, '200 "hello" kept'],
  ["a thousand records of others", out("evil", { id: 9 }).repeat(1000) + GOOD, '200 "hello" kept'],
  ["a close at once", "", "502 no-output dropped", "close"],
  ["a close within a record's head", OUT.slice(0, 3), "502 no-output dropped", "close"],
  ["a close within a record", OUT.slice(0, 20), "502 no-head dropped", "close"],
  ["a close without an end", OUT, '200 "hello" cut reply-cut dropped', "close"],
  ["a close behind STDOUT's end", OUT + NOTHING, '200 "hello" dropped', "close"],
  [
    "a close within END_REQUEST",
    OUT + END.slice(0, 10),
    '200 "hello" cut reply-cut dropped',
    "close",
  ],
  [
    "a promised length that is cut",
    out(`Content-Length: 10\n\nhello`),
    '200 "hello" cut reply-cut dropped',
    "close",
  ],
  [
    "a promised length that is whole",
    out(`Content-Length: 5\n\nhello`),
    '200 "hello" dropped',
    "close",
  ],
  ["a head without an end", out("A: b\n") + END, "502 head-cut dropped"],
];
