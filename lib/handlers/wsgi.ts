/**
 * `wsgi`: an application in TypeScript, called in the gateway's own process by PEP 3333's convention on
 * web-standard streams (see protocol/wsgi.ts).
 */
import * as v from "valibot";
import type { Exchange, Mount, Reply, SizedBody } from "../exchange.ts";
import { described, environment, fields, list, optional, text } from "../fields.ts";
import {
  type Context,
  defineKind,
  type Explanation,
  type Permission,
  type Place,
  type Question,
  type Service,
} from "../handler.ts";
import { loadApplication } from "../io/wsgi_module.ts";
import { ProgramLog } from "../io/program_log.ts";
import { replyOf } from "../io/reply.ts";
import { collectEnviron, mountFacts, planEnviron } from "../protocol/cgi_environ.ts";
import type { Application, ErrorStream } from "../protocol/wsgi.ts";
import { type Answer, Call, type Held } from "../protocol/wsgi_call.ts";
import { buildEnviron, type EnvironFrame } from "../protocol/wsgi_environ.ts";
import { BodyInput } from "../protocol/wsgi_input.ts";
