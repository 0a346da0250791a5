/** The `host` of a route: a name, an IP address, or `*.name`; never a port (RFC 9110 §7.2). */
import * as v from "valibot";
import { parseIp } from "../protocol/ip.ts";
import { cannotRead } from "../values.ts";

const NAME = /(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*/;
const IPV6 = /\[?[0-9A-Fa-f:]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]?/;
const HOST = new RegExp(`^(?:${NAME.source}|${IPV6.source})$`);
const notAHost = cannotRead("a host", 'a name, an IP address or "*.example.org"');
const WITH_PORT = /^(?:[^:[\]]+|\[.*\]):\d+$/;

function describe(issue: { readonly input: unknown }): string {
  const named = typeof issue.input === "string" && WITH_PORT.test(issue.input);
  return named ? cannotRead("a host", "it without the port")(issue) : notAHost(issue);
}

/** In the form in which requests have it: lower case, IPv6 in brackets. */
function readHost(text: string): string | undefined {
  const name = text.toLowerCase();
  if (name.includes(":")) {
    const address = name.replace(/^\[(.*)\]$/, "$1");
    return parseIp(address) === undefined ? undefined : `[${address}]`;
  }
  // What ends in a number is an IPv4 address or a slip of the pen (URL Standard, "ends in a number").
  return /(?:^|\.)\d+$/.test(name) && parseIp(name) === undefined ? undefined : name;
}

export const host = v.pipe(
  v.string(notAHost),
  v.regex(HOST, describe),
  v.examples(["git.example.org", "*.example.org", "127.0.0.1", "[::1]"]),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const read = readHost(dataset.value);
    if (read !== undefined) return read;
    addIssue({ message: describe });
    return NEVER;
  }),
);
