/**
 * The validator: a middleware that holds both of its sides to the contract, as wsgiref.validate does in
 * Python, with the checks of Rack::Lint on top. Put around an application it finds the faults of that
 * application and of its server; put between two middlewares, theirs.
 *
 * Strategy: a breach is thrown where it happens, citing PEP 3333, and so becomes a 500 or, once the head
 * was sent, an answer that is cut short. What cannot be thrown, or breaks nothing by itself, is written
 * to `wsgi.errors`, each finding once.
 */
import {
  type Application,
  type AppResult,
  breach,
  type Environ,
  type StartResponse,
} from "./wsgi.ts";
import { closeResult } from "./wsgi_result.ts";
import { Account } from "./wsgi_validator_call.ts";
import { checkEnviron, type Warn, warnOfEnviron } from "./wsgi_validator_environ.ts";
import { checkedResult } from "./wsgi_validator_result.ts";
import { CheckedErrors, CheckedInput } from "./wsgi_validator_streams.ts";

const SIDE = "The Application/Framework Side";

/** Findings that are remembered, for they may hold what clients sent. */
const MAX_TOLD = 256;

/** An application that behaves as the given one does, as long as both sides keep to the contract. */
export function validator(application: Application): Application {
  if (typeof application !== "function") {
    const message = `Cannot validate a ${typeof application}: an application is a function`;
    throw breach("application", message, SIDE);
  }
  const told = new Set<string>();
  const self = {};
  return (...args: readonly unknown[]): AppResult | Promise<AppResult> => {
    const [environ, startResponse] = checkedArguments(args);
    const account = new Account(self, environ, warningTo(environ, told));
    warnOfEnviron(environ, account.warn);
    environ["wsgi.input"] = new CheckedInput(environ["wsgi.input"]);
    environ["wsgi.errors"] = new CheckedErrors(environ["wsgi.errors"]);
    const result: unknown = application(environ, account.startFor(startResponse));
    return result instanceof Promise
      ? result.then((later) => checkedOrClosed(later, account))
      : checkedOrClosed(result, account);
  };
}

/** A result that is refused is seen by nobody else, hence closed here. */
function checkedOrClosed(result: unknown, account: Account): AppResult {
  try {
    return checkedResult(result, account);
  } catch (error) {
    closeResult(result, (what, failure) => account.warn(`${what} failed: ${failure}`));
    throw error;
  }
}

function checkedArguments(args: readonly unknown[]): readonly [Environ, StartResponse] {
  if (args.length !== 2) {
    const message = `Cannot call the application with ${args.length} arguments: it takes two`;
    throw breach("arguments", message, SIDE);
  }
  const [environ, startResponse] = args;
  checkEnviron(environ);
  if (isStartResponse(startResponse)) return [environ, startResponse];
  const message = "Cannot call the application: start_response is no function";
  throw breach("start-callable", message, SIDE);
}

function isStartResponse(value: unknown): value is StartResponse {
  return typeof value === "function";
}

/** Findings go to the server's own error stream, whatever a middleware further in puts in its place. */
function warningTo(environ: Environ, told: Set<string>): Warn {
  const errors = environ["wsgi.errors"];
  return (message) => {
    if (told.has(message)) return;
    if (told.size < MAX_TOLD) told.add(message);
    errors.write(`validator: ${message}\n`);
  };
}
