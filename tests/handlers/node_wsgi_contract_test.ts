import { handlerContract } from "./contract.ts";
import { WSGI } from "./contract_subjects.ts";

handlerContract({ ...WSGI, listener: "node" });
