/**
 * Faulty files and what is said of them: each fault at its very line and column, all of them in one run,
 * in the grammar "what was read: what would be right".
 */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import * as kinds from "../support/fake_kinds.ts";

type Cases = Readonly<Record<string, readonly [text: string, ...faults: string[]]>>;

/** Takes away the margin of a text that begins on a line of its own. */
function plain(text: string): string {
  return text.startsWith("\n") ? text.slice(1).replace(/^ {4}/gm, "") : text;
}

function faultsOf(text: string): readonly string[] {
  try {
    parseTable(text, { file: "routes.yaml", folder: "/srv/app" }, kinds);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
  return [];
}

/** Whole files. */
const FILES: Cases = {
  "an empty file": [
    "",
    '1:1: The file is empty: write "routes:" and a list of routes',
  ],
  "a file of comments": [
    "# nothing\n\n",
    '1:1: The file is empty: write "routes:" and a list of routes',
  ],
  "a document marker alone": [
    "---\n",
    '1:1: The file is empty: write "routes:" and a list of routes',
  ],
  "a null alone": [
    "~\n",
    '1:1: The file is empty: write "routes:" and a list of routes',
  ],
  "a list at the root": [
    `
    - path: /
      respond: hi
    `,
    "1:1: Cannot read a list as a map of fields: write field: value",
  ],
  "text at the root": [
    "routes\n",
    '1:1: Cannot read "routes" as a map of fields: write field: value',
  ],
  "a second document": [
    `
    routes: [{path: /, respond: hi}]
    ---
    routes: []
    `,
    '2:1: Cannot read a second document: keep all in one, without "---" and "..."',
  ],
  "a tab as indentation": [
    "routes:\n\t- path: /\n",
    "2:1: Cannot indent with a tab: use spaces",
  ],
  "an unclosed list": [
    `
    server: {listen: [a:1, b:2}
    routes: []
    `,
    "1:18: Cannot find the end of this list: close it with ]",
  ],
  "an unclosed map": [
    `
    routes:
      - {path: /, respond: hi
      - {path: /b, respond: hi}
    `,
    "2:5: Cannot find the end of this map: close it with }",
  ],
  "an unclosed quote": [
    `
    routes:
      - path: "/a
        respond: hi
    `,
    '2:11: Cannot find the end of this text: close it with "',
  ],
  "an unclosed single quote at the end": [
    "routes:\n  - path: '/a",
    "2:11: Cannot find the end of this text: close it with '",
  ],
  "a missing colon": [
    `
    routes:
      - path /
        respond: hi
    `,
    '2:5: Cannot read this as "key: value": write a colon and a space after the key',
  ],
  "a missing space after the colon": [
    `
    routes:
      - path:/
        respond: hi
    `,
    '2:5: Cannot read this as "key: value": write a colon and a space after the key',
  ],
  "a key and value behind a key": [
    `
    routes:
      - path: /
        respond: now: later
    `,
    "3:14: Cannot begin a map behind a key and its value: put text in quotes, or mend the next line's indent",
  ],
  "a line at no column of its map": [
    `
    routes:
      - path: /
         respond: hi
    `,
    "2:11: Cannot begin a map behind a key and its value: put text in quotes, or mend the next line's indent",
  ],
  "a line left of its list's keys": [
    `
    routes:
      - path: /
       respond: hi
    `,
    '3:1: Cannot place this line in the list: indent it like the key above, or begin it with "- "',
  ],
  "text behind a quoted value": [
    `
    routes:
      - path: "/a" b
        respond: hi
    `,
    "2:16: Cannot read more text behind this value: put all of it in quotes",
  ],
  "plain text that begins with @": [
    `
    routes:
      - path: /
        respond: @hi
    `,
    '3:14: Cannot begin plain text with "@": put it in quotes',
  ],
  "a backtick and a bad duration": [
    `
    routes:
      - path: /
        respond: \`hi\`
        timeout: soon
    `,
    '3:14: Cannot begin plain text with "`": put it in quotes',
    '4:14: Cannot read "soon" as a duration: write 500ms, 30s, 2m or 1h',
  ],
  "an unknown escape": [
    `
    routes:
      - path: "/\\q"
        respond: hi
    `,
    "2:13: Cannot read an escape in this text: write \\\\ for a backslash, or use single quotes",
  ],
  "an unknown tag": [
    `
    routes:
      - path: /
        respond: !secret hi
    `,
    '3:14: Cannot read the tag "!secret": leave it out',
  ],
  "a tag that changes the type": [
    `
    routes:
      - path: /
        respond: {status: !!int 200}
    `,
    '3:23: Cannot read the tag "!!int": leave it out',
    '3:29: Cannot read "200" as a count: write a whole number, 200 or more',
  ],
  "an unknown directive": [
    `
    %PORTICO 1
    ---
    routes: [{path: /, respond: hi}]
    `,
    "1:1: Cannot read this directive: leave it out",
  ],
  "a stray comma": [
    "routes: [{path: /,, respond: hi}]\n",
    "1:19: Cannot find a value before this comma: remove it",
  ],
  "a comment without a space": [
    `
    routes: [{path: '/'#root
      , respond: hi}]
    `,
    "1:20: Cannot begin a comment here: put a space before #",
  ],
  "text behind the mark of a block": [
    "routes:\n  - path: /\n    respond: |hi.\n",
    '3:15: Cannot read text on the line of "|" or ">": begin it on the next one, or put all of it in quotes',
  ],
  "a control character": [
    "routes:\n  - path: /\u0007\n    respond: hi\n",
    "2:12: Cannot read the character U+0007: this file is to be plain text",
  ],
  "a NUL": [
    "routes:\n  - path: /\n    respond: h\u0000i\n",
    "3:15: Cannot read the character U+0000: this file is to be plain text",
  ],
  "a lone surrogate": [
    "routes: \ud800\n",
    "1:9: Cannot read the character U+D800: this file is to be plain text",
  ],
  "a duplicate key": [
    `
    routes:
      - path: /
        respond: hi
        path: /b
    `,
    '4:5: Duplicate key "path": it stands on line 2; keep one',
  ],
  "a duplicate section": [
    `
    routes: [{path: /, respond: hi}]
    server: {dev: true}
    server: {dev: false}
    `,
    '3:1: Duplicate key "server": it stands on line 2; keep one',
  ],
  "a duplicate key in another spelling": [
    `
    routes:
      - path: /
        respond: {env: {A: 1, "A": 2}}
    `,
    '3:27: Duplicate key "A": it stands on line 3; keep one',
  ],
  "three of one key": [
    `
    routes: [{path: /, respond: hi}]
    server: {dev: true, dev: false, dev: true}
    `,
    '2:21: Duplicate key "dev": it stands on line 2; keep one',
    '2:33: Duplicate key "dev": it stands on line 2; keep one',
  ],
  "a list as a key": [
    `
    routes:
      - path: /
        respond: hi
        ? [a]
        : b
    `,
    "4:7: Cannot read a list as a key: write a word",
  ],
  "a missing key": [
    `
    routes:
      - path: /
        respond: hi
        : b
    `,
    "4:5: Cannot find a key before the colon: write a word",
  ],
  "an alias of nothing": [
    `
    routes:
      - path: /
        respond: hi
        timeout: *slow
    `,
    '4:14: Cannot find the anchor "&slow" before "*slow": if it is text, put it in quotes',
  ],
  "a wildcard host without quotes": [
    `
    routes:
      - path: /
        respond: hi
        host: *.example.org
    `,
    '4:11: Cannot find the anchor "&.example.org" before "*.example.org": if it is text, put it in quotes',
  ],
  "a wildcard path without quotes": [
    `
    routes:
      - path: *.php
        respond: hi
    `,
    '2:11: Cannot find the anchor "&.php" before "*.php": if it is text, put it in quotes',
  ],
  "an alias within its own anchor": [
    `
    routes: &all
      - path: /
        respond: *all
    `,
    '3:14: Cannot use "*all" within the value that it stands for: write the value out',
  ],
  "aliases that grow without bound": [
    `
    a: &a [x, x, x, x, x, x, x, x, x, x]
    b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
    c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
    d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
    e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
    `,
    "5:36: Cannot copy more than 100000 values by aliases: write fewer",
  ],
  "a merge of what is no map": [
    `
    routes:
      - path: /
        respond: hi
        <<: [a]
    `,
    '4:10: Cannot merge what is no map: write "<<: *name" or "<<: [*one, *two]"',
  ],
  "a fault behind an alias, where it is used": [
    `
    routes:
      - path: /
        respond: hi
        name: &n soon
        timeout: *n
    `,
    '5:14: Cannot read "soon" as a duration: write 500ms, 30s, 2m or 1h',
  ],
  "a fault in a merged map, where it is written": [
    `
    routes:
      - &base
        path: /
        respond: hi
        timeout: soon
      - <<: *base
        path: /b
    `,
    '5:14: Cannot read "soon" as a duration: write 500ms, 30s, 2m or 1h',
  ],
  "CRLF line ends": [
    "routes:\r\n  - path: /\r\n    respond: hi\r\n    timeout: soon\r\n",
    '4:14: Cannot read "soon" as a duration: write 500ms, 30s, 2m or 1h',
  ],
  "a byte order mark": [
    "\ufeffrouts: []\n",
    '1:1: Missing key "routes": write it here',
    '1:1: Unknown key "routs": did you mean "routes"?',
  ],
  "no routes": [
    "server: {dev: true}\n",
    '1:1: Missing key "routes": write it here',
  ],
  "an empty value for routes": [
    "routes:\n",
    "1:1: Cannot read an empty value as a list: write [first, second] or one item a line after a dash",
  ],
  "an empty list of routes": [
    "routes: []\n",
    "1:9: Cannot be empty: write at least one route",
  ],
  "a map of routes": [
    `
    routes:
      /: {respond: hi}
    `,
    "2:3: Cannot read a map as a list: write [first, second] or one item a line after a dash",
  ],
  "a misspelt section": [
    `
    sever: {dev: true}
    routes: [{path: /, respond: hi}]
    `,
    '1:1: Unknown key "sever": did you mean "server"?',
  ],
  "a server's key at the root": [
    `
    listen: :8080
    routes: [{path: /, respond: hi}]
    `,
    '1:1: Unknown key "listen": write it inside "server"',
  ],
  "a route's key at the root": [
    `
    routes: [{path: /, respond: hi}]
    timeout: 30s
    `,
    '2:1: Unknown key "timeout": write it in an item of "routes"',
  ],
  "the names of an object itself": [
    `
    __proto__: {dev: true}
    constructor: 1
    toString: 2
    routes: [{path: /, respond: hi}]
    `,
    '1:1: Unknown key "__proto__": the keys here are server, admin, routes',
    '2:1: Unknown key "constructor": the keys here are server, admin, routes',
    '3:1: Unknown key "toString": the keys here are server, admin, routes',
  ],
  "text for a route": [
    "routes: [/git]\n",
    '1:10: Cannot read "/git" as a route: write "path:" and a handler',
  ],
  "a route of a list": [
    "routes: [[path, respond]]\n",
    '1:10: Cannot read a list as a route: write "path:" and a handler',
  ],
  "no path": [
    `
    routes:
      - respond: hi
    `,
    '2:5: Missing key "path": write it here',
  ],
  "no handler": [
    `
    routes:
      - path: /
    `,
    "2:5: Missing handler: write one of dial, respond, run",
  ],
  "neither path nor handler": [
    "routes: [{}]\n",
    '1:10: Missing key "path": write it here',
    "1:10: Missing handler: write one of dial, respond, run",
  ],
  "an empty path": [
    'routes: [{path: "", respond: hi}]\n',
    "1:17: Cannot read an empty path: write / or /name",
  ],
  "a number for a path": [
    "routes: [{path: 5, respond: hi}]\n",
    '1:17: Cannot read 5 as a path: write "/", "/git/*" or "/users/:id"',
  ],
  "a path without its slash": [
    `
    routes:
      - path: git/*
        respond: hi
    `,
    '2:11: Cannot read the path "git/*": start it with a slash',
  ],
  "a colon at the end of plain text in brackets": [
    "routes: [{path: /a/:, respond: hi}]\n",
    "1:17: Cannot begin lines of their own within brackets: put text in quotes, maps in { }",
  ],
  "a pattern's fault in a quoted path": [
    'routes: [{path: "/a/:", respond: hi}]\n',
    "1:17: Cannot read a group name after the colon: write :name or \\:",
  ],
  "a pattern's fault, at its character in a plain path": [
    `
    routes:
      - path: /a/(b
        respond: hi
    `,
    "2:14: Cannot find the end of the regular expression: close it with )",
  ],
  "an empty route": [
    `
    routes:
      - path: /
        respond: hi
      -
    `,
    '4:4: Cannot read an empty value as a route: write "path:" and a handler',
  ],
  "upstreams without a host or a port": [
    `
    routes:
      - {path: /a, dial: ":9000"}
      - {path: /b, dial: localhost:0}
    `,
    '2:22: Cannot read ":9000" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
    '3:22: Cannot read "localhost:0" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
  ],
  "a name twice": [
    `
    routes:
      - {path: /a, respond: hi, name: x}
      - {path: /b, respond: hi, name: y}
      - {path: /c, respond: hi, name: x}
    `,
    "4:35: Cannot name two routes alike: the one on line 2 has this name",
  ],
};

/** What stands in the `server` section, on the second line. */
const SERVER: Cases = {
  "a list for the server": [
    "- dev: true",
    "2:3: Cannot read a list as a map of fields: write field: value",
  ],
  "text for the server": [
    "dev",
    '2:3: Cannot read "dev" as a map of fields: write field: value',
  ],
  "an empty list for the server": [
    "[]",
    "2:3: Cannot read a list as a map of fields: write field: value",
  ],
  "a misspelt key": [
    "tiemout: 30s",
    '2:3: Unknown key "tiemout": the keys here are listen, trustedProxies, clientIpHeader, originSecret, tls, listener, headerTimeout, keepAliveTimeout, maxConnections, maxRequestHead, workers, stallTimeout, maxRequestBody, bodyIdleTimeout, bodyMinRate, sendTimeout, drainTimeout, drainDelay, slowRequest, accessLog, accessLogFile, traces, dev, spoolDir, spoolQuota, runDir',
  ],
  "a near key": [
    "drainTimout: 30s",
    '2:3: Unknown key "drainTimout": did you mean "drainTimeout"?',
  ],
  "a key in another case": [
    "access_log: off",
    '2:3: Unknown key "access_log": did you mean "accessLog"?',
  ],
  "several unknown keys": [
    "{foo: 1, dev: true, bar: 2, __proto__: 3, hasOwnProperty: 4}",
    '2:4: Unknown key "foo": the keys here are listen, trustedProxies, clientIpHeader, originSecret, tls, listener, headerTimeout, keepAliveTimeout, maxConnections, maxRequestHead, workers, stallTimeout, maxRequestBody, bodyIdleTimeout, bodyMinRate, sendTimeout, drainTimeout, drainDelay, slowRequest, accessLog, accessLogFile, traces, dev, spoolDir, spoolQuota, runDir',
    '2:23: Unknown key "bar": the keys here are listen, trustedProxies, clientIpHeader, originSecret, tls, listener, headerTimeout, keepAliveTimeout, maxConnections, maxRequestHead, workers, stallTimeout, maxRequestBody, bodyIdleTimeout, bodyMinRate, sendTimeout, drainTimeout, drainDelay, slowRequest, accessLog, accessLogFile, traces, dev, spoolDir, spoolQuota, runDir',
    '2:31: Unknown key "__proto__": the keys here are listen, trustedProxies, clientIpHeader, originSecret, tls, listener, headerTimeout, keepAliveTimeout, maxConnections, maxRequestHead, workers, stallTimeout, maxRequestBody, bodyIdleTimeout, bodyMinRate, sendTimeout, drainTimeout, drainDelay, slowRequest, accessLog, accessLogFile, traces, dev, spoolDir, spoolQuota, runDir',
    '2:45: Unknown key "hasOwnProperty": the keys here are listen, trustedProxies, clientIpHeader, originSecret, tls, listener, headerTimeout, keepAliveTimeout, maxConnections, maxRequestHead, workers, stallTimeout, maxRequestBody, bodyIdleTimeout, bodyMinRate, sendTimeout, drainTimeout, drainDelay, slowRequest, accessLog, accessLogFile, traces, dev, spoolDir, spoolQuota, runDir',
  ],
  "a port alone": [
    "listen: 8080",
    '2:11: Cannot read 8080 as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  ],
  "a port out of range": [
    "listen: 127.0.0.1:65536",
    '2:11: Cannot read "127.0.0.1:65536" as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  ],
  "an address without a port": [
    "listen: localhost",
    '2:11: Cannot read "localhost" as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  ],
  "an IPv6 address without brackets": [
    'listen: "::1:8080"',
    '2:11: Cannot read "::1:8080" as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  ],
  "IP addresses that do not exist": [
    'listen: ["[1::2::3]:80", 256.1.1.1:80]',
    '2:12: Cannot read "[1::2::3]:80" as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
    '2:28: Cannot read "256.1.1.1:80" as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  ],
  "no address": [
    "listen: []",
    "2:11: Cannot listen nowhere: write an address",
  ],
  "an empty value": [
    "listen:",
    '2:3: Cannot read an empty value as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  ],
  "the same address twice": [
    "listen: [:80, 127.0.0.1:0, 127.0.0.1:0, :80]",
    '2:43: Cannot list "0.0.0.0:80" twice: keep one',
  ],
  "a socket's path that is too long": [
    `listen: unix:/${"x".repeat(107)}`,
    "2:11: Cannot use a socket's path of 108 bytes: write one of 107 or fewer",
  ],
  "a relative socket's path that is too long with the folder": [
    `listen: [:0, unix:${"x".repeat(100)}]`,
    "2:16: Cannot use a path of 109 bytes here: write one of 107 or fewer",
  ],
  "an address within a list": [
    "listen: [127.0.0.1:80, nowhere]",
    '2:26: Cannot read "nowhere" as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  ],
  "a map for an address": [
    "listen: {port: 80}",
    '2:11: Cannot read a map as an address to listen on: write "127.0.0.1:8080", "[::1]:8080", ":8080" or "unix:/path"',
  ],
  "one proxy without a list": [
    "trustedProxies: 10.0.0.0/8",
    '2:19: Cannot read "10.0.0.0/8" as a list: write [first, second] or one item a line after a dash',
  ],
  "a prefix that is too long": [
    'trustedProxies: [10.0.0.0/8, 10.0.0.0/33, "::/129"]',
    '2:32: Cannot read "10.0.0.0/33" as a trusted proxy: write an IP address, a network such as 10.0.0.0/8 or fd00::/8, or unix',
    '2:45: Cannot read "::/129" as a trusted proxy: write an IP address, a network such as 10.0.0.0/8 or fd00::/8, or unix',
  ],
  "a host name as a proxy": [
    "trustedProxies: [proxy.example.org]",
    '2:20: Cannot read "proxy.example.org" as a trusted proxy: write an IP address, a network such as 10.0.0.0/8 or fd00::/8, or unix',
  ],
  "an IPv4 address in octal": [
    "trustedProxies: [010.0.0.1]",
    '2:20: Cannot read "010.0.0.1" as a trusted proxy: write an IP address, a network such as 10.0.0.0/8 or fd00::/8, or unix',
  ],
  "a size with a foreign unit": [
    "maxRequestBody: 64MB",
    '2:19: Cannot read "64MB" as a size: write a number of bytes, 64KiB, 16MiB or 1GiB',
  ],
  "a negative size": [
    "maxRequestBody: -1",
    "2:19: Cannot read -1 as a size: write a number of bytes, 64KiB, 16MiB or 1GiB",
  ],
  "a fraction of a byte": [
    "maxRequestBody: 1.5",
    "2:19: Cannot read 1.5 as a size: write a number of bytes, 64KiB, 16MiB or 1GiB",
  ],
  "a size beyond counting": [
    "maxRequestBody: 9999999999GiB",
    '2:19: Cannot read "9999999999GiB" as a size: write a number of bytes, 64KiB, 16MiB or 1GiB',
  ],
  "a number without a unit": [
    "drainTimeout: 30",
    "2:17: Cannot read 30 as a duration: write 500ms, 30s, 2m or 1h",
  ],
  "a duration in words": [
    "drainTimeout: 30 seconds",
    '2:17: Cannot read "30 seconds" as a duration: write 500ms, 30s, 2m or 1h',
  ],
  "a duration past what timers keep": [
    "drainTimeout: 1000h",
    "2:17: Cannot wait that long: write 596h or less",
  ],
  "no workers": [
    "workers: 0",
    "2:12: Cannot read 0 as a count: write a whole number, 1 or more",
  ],
  "more workers than any machine has use for": [
    "workers: 257",
    "2:12: Cannot read 257 as workers: write a number of processes up to 256, or auto",
  ],
  "a word for workers": [
    "workers: all",
    '2:12: Cannot read "all" as workers: write a number of processes up to 256, or auto',
  ],
  "a log of no known form": [
    "accessLog: combind",
    '2:14: Cannot read "combind" as a choice: write combined or json or off',
  ],
  "a switch for a log": [
    "accessLog: true",
    "2:14: Cannot read true as a choice: write combined or json or off",
  ],
  "a word for a switch": [
    "dev: yes",
    '2:8: Cannot read "yes" as a switch: write true or false',
  ],
  "a switch in capitals": [
    "dev: True",
    '2:8: Cannot read "True" as a switch: write true or false',
  ],
  "a quoted switch": [
    'dev: "true"',
    '2:8: Cannot read "true" as a switch: write true or false',
  ],
  "a number for a folder": [
    "spoolDir: 5",
    '2:13: Cannot read 5 as text: write "5", in quotes',
  ],
  "an empty folder": [
    'spoolDir: ""',
    "2:13: Cannot be empty: write some text",
  ],
  "a folder with a NUL": [
    'spoolDir: "a\\0b"',
    "2:13: Cannot hold a NUL character: remove it",
  ],
  "a run folder too long for sockets": [
    `runDir: /${"r".repeat(80)}`,
    "2:11: Cannot use a path of 81 bytes here: write one of 80 or fewer",
  ],
};

/** What stands in a route besides `path: /`, from the third line on. */
const ROUTE: Cases = {
  "a misspelt handler": [
    "respnd: hi",
    '3:5: Unknown key "respnd": did you mean "respond"?',
  ],
  "a misspelt option": [
    `
    respond: hi
    tiemout: 30s
    `,
    '4:5: Unknown key "tiemout": did you mean "timeout"?',
  ],
  "an option of no kind": [
    `
    respond: hi
    limit: 30s
    `,
    '4:5: Unknown key "limit": the keys here are path, host, methods, name, maxRequestBody, timeout, firstByteTimeout, headers, onAbort, maxReplyHead, requestBody, sendfile, auth, authorize, conditional, compress, cache, dial, respond, run',
  ],
  "an option of the handler beside it": [
    `
    run: ./a.sh
    env: {A: 1}
    `,
    '4:5: Unknown key "env": write it inside "run"',
  ],
  "two handlers": [
    `
    respond: hi
    run: ./a.sh
    `,
    '4:5: Cannot serve a route by both "respond" and "run": keep one of them',
  ],
  "three handlers, each with its own fault": [
    `
    respond: {status: 99}
    run: {}
    dial: nowhere
    `,
    "3:23: Cannot read 99 as a count: write a whole number, 200 or more",
    '4:5: Cannot serve a route by both "respond" and "run": keep one of them',
    "4:10: Cannot tell what to run: write either script or root",
    '5:5: Cannot serve a route by both "respond" and "dial": keep one of them',
    '5:11: Cannot read "nowhere" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
  ],
  "a handler named like a member of objects": [
    "constructor: hi",
    "2:5: Missing handler: write one of dial, respond, run",
    '3:5: Unknown key "constructor": the keys here are path, host, methods, name, maxRequestBody, timeout, firstByteTimeout, headers, onAbort, maxReplyHead, requestBody, sendfile, auth, authorize, conditional, compress, cache, dial, respond, run',
  ],
  "a host with a port": [
    `
    respond: hi
    host: git.example.org:8080
    `,
    '4:11: Cannot read "git.example.org:8080" as a host: write it without the port',
  ],
  "an IPv6 host with a port": [
    `
    respond: hi
    host: "[::1]:8080"
    `,
    '4:11: Cannot read "[::1]:8080" as a host: write it without the port',
  ],
  "an IPv4 host that does not exist": [
    `
    respond: hi
    host: 300.1.1.1
    `,
    '4:11: Cannot read "300.1.1.1" as a host: write a name, an IP address or "*.example.org"',
  ],
  "an IPv6 host that does not exist": [
    `
    respond: hi
    host: "[1::2::3]"
    `,
    '4:11: Cannot read "[1::2::3]" as a host: write a name, an IP address or "*.example.org"',
  ],
  "a wildcard in the middle of a host": [
    `
    respond: hi
    host: a.*.org
    `,
    '4:11: Cannot read "a.*.org" as a host: write a name, an IP address or "*.example.org"',
  ],
  "a star for every host": [
    `
    respond: hi
    host: "*"
    `,
    '4:11: Cannot read "*" as a host: write a name, an IP address or "*.example.org"',
  ],
  "a host with a scheme": [
    `
    respond: hi
    host: http://example.org
    `,
    '4:11: Cannot read "http://example.org" as a host: write a name, an IP address or "*.example.org"',
  ],
  "a host with a final dot": [
    `
    respond: hi
    host: example.org.
    `,
    '4:11: Cannot read "example.org." as a host: write a name, an IP address or "*.example.org"',
  ],
  "a number for a host": [
    `
    respond: hi
    host: 5
    `,
    '4:11: Cannot read 5 as a host: write a name, an IP address or "*.example.org"',
  ],
  "one method without a list": [
    `
    respond: hi
    methods: GET
    `,
    '4:14: Cannot read "GET" as a list: write [first, second] or one item a line after a dash',
  ],
  "a method in small letters": [
    `
    respond: hi
    methods: [get, Post]
    `,
    '4:15: Cannot read "get" as a method: write GET',
    '4:20: Cannot read "Post" as a method: write POST',
  ],
  "a method that is no token": [
    `
    respond: hi
    methods: ["GET POST", ""]
    `,
    '4:15: Cannot read "GET POST" as a method: write a name such as GET',
    '4:27: Cannot read "" as a method: write a name such as GET',
  ],
  "no methods": [
    `
    respond: hi
    methods: []
    `,
    "4:14: Cannot be empty: write a method, or leave it out for all",
  ],
  "the same method twice": [
    `
    respond: hi
    methods: [GET, POST, GET]
    `,
    '4:26: Cannot list "GET" twice: keep one',
  ],
  "a switch among the methods": [
    `
    respond: hi
    methods: [GET, true]
    `,
    "4:20: Cannot read true as a method: write a name such as GET",
  ],
  "a name with a line break": [
    `
    respond: hi
    name: "a\\nb"
    `,
    '4:11: Cannot read "a\\nb" as a name: write text of one line, in quotes',
  ],
  "a timeout of nothing": [
    `
    respond: hi
    timeout: 0s
    firstByteTimeout: 0ms
    `,
    "4:14: Cannot be 0: leave it out for no limit",
    "5:23: Cannot be 0: leave it out for no limit",
  ],
  "bad route-wide values": [
    `
    respond: hi
    maxRequestBody: lots
    timeout: soon
    firstByteTimeout: 3
    onAbort: wait
    maxReplyHead: [1]
    requestBody: stream!
    `,
    '4:21: Cannot read "lots" as a size: write a number of bytes, 64KiB, 16MiB or 1GiB',
    '5:14: Cannot read "soon" as a duration: write 500ms, 30s, 2m or 1h',
    "6:23: Cannot read 3 as a duration: write 500ms, 30s, 2m or 1h",
    '7:14: Cannot read "wait" as a choice: write kill or finish',
    "8:19: Cannot read a list as a size: write a number of bytes, 64KiB, 16MiB or 1GiB",
    '9:18: Cannot read "stream!" as a choice: write spool or stream',
  ],
  "folders to send files from that no path could mean": [
    `
    respond: hi
    sendfile:
      protected/: ./a
      /protected: ./b
      /a%20b/: ./c
      /a/../b/: ./d
      //: ./e
      "/a?b/": ./f
      /ok/: ./ok
    `,
    '5:7: Cannot read "protected/" as a prefix of paths: write "/protected/", not encoded, with a slash at both ends',
    '6:7: Cannot read "/protected" as a prefix of paths: write "/protected/", not encoded, with a slash at both ends',
    '7:7: Cannot read "/a%20b/" as a prefix of paths: write "/protected/", not encoded, with a slash at both ends',
    '8:7: Cannot read "/a/../b/" as a prefix of paths: write "/protected/", not encoded, with a slash at both ends',
    '9:7: Cannot read "//" as a prefix of paths: write "/protected/", not encoded, with a slash at both ends',
    '10:7: Cannot read "/a?b/" as a prefix of paths: write "/protected/", not encoded, with a slash at both ends',
  ],
  "no folders to send files from": [
    `
    respond: hi
    sendfile: {}
    `,
    "4:15: Cannot be empty: write a prefix and its folder, such as /protected/: ./files",
  ],
  "folders to send files from without their prefixes": [
    `
    respond: hi
    sendfile: ./files
    `,
    '4:15: Cannot read "./files" as a map: write NAME: value',
  ],
  "a prefix without its folder": [
    `
    respond: hi
    sendfile: {/a/: , /b/: 5, /c/: ""}
    `,
    "4:16: Cannot read an empty value as text: write a string",
    '4:28: Cannot read 5 as text: write "5", in quotes',
    "4:36: Cannot be empty: write some text",
  ],
  "fields that frame a response": [
    `
    respond: hi
    headers: {set: {Connection: close, transfer-encoding: chunked}, remove: [Content-Length, Keep-Alive]}
    `,
    '4:21: Cannot change "Connection": the server frames its answers itself; remove it',
    '4:40: Cannot change "transfer-encoding": the server frames its answers itself; remove it',
    '4:78: Cannot change "Content-Length": the server frames its answers itself; remove it',
    '4:94: Cannot change "Keep-Alive": the server frames its answers itself; remove it',
  ],
  "field names that are no tokens": [
    `
    respond: hi
    headers: {set: {"X Y": 1, "": 2, X:Y: 3}, remove: [é]}
    `,
    '4:21: Cannot read "X Y" as the name of a header field: write letters, digits and -, such as X-Frame-Options',
    '4:31: Cannot read "" as the name of a header field: write letters, digits and -, such as X-Frame-Options',
    '4:38: Cannot read "X:Y" as the name of a header field: write letters, digits and -, such as X-Frame-Options',
    '4:56: Cannot read "é" as the name of a header field: write letters, digits and -, such as X-Frame-Options',
  ],
  "field values that would not survive": [
    `
    respond: hi
    headers: {set: {A: "a\\nb", B: "\\x07", C: [ok, "€"], D: {}}}
    `,
    '4:24: Cannot read "a\\nb" as a header field\'s value: write text without control characters, up to U+00FF',
    '4:35: Cannot read "\\u0007" as a header field\'s value: write text without control characters, up to U+00FF',
    '4:51: Cannot read "€" as a header field\'s value: write text without control characters, up to U+00FF',
    "4:60: Cannot read a map as text: write a string",
  ],
  "a field in two spellings": [
    `
    respond: hi
    headers: {set: {Vary: a, vary: b}}
    `,
    '4:30: Cannot set "vary" twice: give one of them a list of values',
  ],
  "an unknown key among the headers": [
    `
    respond: hi
    headers: {add: {A: 1}}
    `,
    '4:15: Unknown key "add": the keys here are set, remove',
  ],
  "a header field named like a member of objects": [
    `
    respond: hi
    headers: {set: {constructor: 1, __proto__: 2}}
    `,
    '4:21: Cannot use "constructor" as a name: write another',
    '4:37: Cannot use "__proto__" as a name: write another',
  ],
  "a list for the headers": [
    `
    respond: hi
    headers: [A]
    `,
    "4:14: Cannot read a list as a map of fields: write field: value",
  ],
  "an empty handler": [
    "respond:",
    '3:5: Cannot read an empty value as "respond": write "body" as text, or a map of fields',
  ],
  "a list for a handler": [
    "respond: [hi]",
    '3:14: Cannot read a list as "respond": write "body" as text, or a map of fields',
  ],
  "a number for a short form": [
    "respond: 404",
    '3:14: Cannot read 404 as text: write "404", in quotes',
  ],
  "an unknown key of a kind": [
    "run: {script: a, tiemout: 3s}",
    '3:22: Unknown key "tiemout": did you mean "timeout"?',
  ],
  "a route's option inside its handler": [
    "run: {script: a, maxRequestBody: 1MiB, timeout: 3s}",
    '3:22: Unknown key "maxRequestBody": write it beside "run"',
  ],
  "a missing key of a kind": [
    "dial: {pool: 3}",
    '3:5: Missing key "connect": write it here',
  ],
  "a kind's own fault across its fields": [
    "run: {script: a, root: b}",
    "3:10: Cannot tell what to run: write either script or root",
  ],
  "faults within a kind": [
    `
    run:
      script: 5
      timeout: soon
      args: [a, 1, [b]]
      env: {1A: x, B: [c], C: }
    `,
    '4:15: Cannot read 5 as text: write "5", in quotes',
    '5:16: Cannot read "soon" as a duration: write 500ms, 30s, 2m or 1h',
    '6:17: Cannot read 1 as text: write "1", in quotes',
    "6:20: Cannot read a list as text: write a string",
    '7:13: Cannot read "1A" as the name of a variable: write letters, digits and _',
    "7:23: Cannot read a list as text: write a string",
    "7:28: Cannot read an empty value as text: write a string",
  ],
  "a fault in the short form": [
    "dial: nowhere",
    '3:11: Cannot read "nowhere" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
  ],
  "a fault in one of several": [
    'dial: {connect: ["127.0.0.1:9000", nowhere]}',
    '3:40: Cannot read "nowhere" as an address: write "host:port", "[::1]:9000" or "unix:/path"',
  ],
  "a fault in the form that was meant": [
    "run: {script: a, spawn: {command: [a], proceses: 3, limit: x}}",
    '3:44: Unknown key "proceses": did you mean "processes"?',
    '3:57: Unknown key "limit": the keys here are command, processes',
  ],
  "a form that is none": [
    "run: {script: a, spawn: true}",
    "3:29: Cannot read true here: write text or a list or a map",
  ],
};

function testAll(cases: Cases, wrap: (text: string) => string): void {
  for (const [name, [text, ...expected]] of Object.entries(cases)) {
    Deno.test(`parseTable() refuses ${name}`, () => {
      assert.deepEqual(faultsOf(wrap(plain(text))), expected);
    });
  }
}

testAll(FILES, (text) => text);
testAll(SERVER, (text) => `server:\n  ${text}\nroutes: [{path: /, respond: hi}]\n`);
testAll(ROUTE, (text) => `routes:\n  - path: /\n    ${text.replaceAll("\n", "\n    ")}\n`);
