/**
 * A route's service: its kind's, within what the route wants around any kind. From the client inwards:
 * auth, authorize, the layers of `layers.ts`, sendfile. What few routes want is loaded when one does.
 */
import type { AuthorizeOptions, BasicAuthOptions, Context, Service } from "../handler.ts";
import { withLayers } from "./layers.ts";
import type { ResponseCache } from "./response_cache.ts";

/** A service, and what the kind within has to tell of its state. */
type Opened = { readonly service: Service } & Pick<Service, "state">;

/** What is put around a service, which then owns it. */
interface Around extends AsyncDisposable {
  wrap(service: Service): Service;
}

/** Opens the kind, and all around it. Caches that it uses are added to `caches`. */
export async function openRouteService(
  openKind: (context: Context) => Promise<Service>,
  context: Context,
  caches: Set<ResponseCache>,
): Promise<Opened> {
  const { sendfile, auth, authorize } = context.options;
  await using opened = new AsyncDisposableStack();
  const withFiles = sendfile && await filesAround(sendfile, context);
  const basic = auth && opened.use(await passwordsAround(auth.basic, context));
  const authorizer = authorize && opened.use(await authorizerAround(authorize, context));
  const kind = await openKind(context);
  const layered = await withLayers(withFiles?.(kind) ?? kind, context, caches);
  opened.move();
  const authorized = authorizer?.wrap(layered) ?? layered;
  return { service: basic?.wrap(authorized) ?? authorized, state: kind.state };
}

async function filesAround(sendfile: Readonly<Record<string, string>>, { place, log }: Context) {
  const { FileFolders, withSendfile } = await import("./sendfile.ts");
  const folders = new FileFolders(sendfile, place.folder);
  return (service: Service) => withSendfile(service, folders, log);
}

async function passwordsAround(options: BasicAuthOptions, context: Context): Promise<Around> {
  const { openBasicAuth, withBasicAuth } = await import("./basic_auth.ts");
  const auth = await openBasicAuth(options, context);
  return {
    wrap: (service) => withBasicAuth(service, auth),
    [Symbol.asyncDispose]: () => auth[Symbol.asyncDispose](),
  };
}

async function authorizerAround(options: AuthorizeOptions, context: Context): Promise<Around> {
  const { openAuthorizer, withAuthorizer } = await import("./authorizer.ts");
  const authorizer = await openAuthorizer(options, context);
  return {
    wrap: (service) => withAuthorizer(service, authorizer),
    [Symbol.asyncDispose]: () => authorizer[Symbol.asyncDispose](),
  };
}
