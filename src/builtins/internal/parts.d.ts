// SPDX-License-Identifier: Apache-2.0
//
// Parts of the built-ins that come to life when they are first asked for (tools/bundle_builtins.mjs). An isolate that
// never does so has none of their objects in its heap. The core may import nothing but types from a part's modules.
//
// A part is made after the Worker's code has run: what it needs of the language, it takes from internal/intrinsics.ts.

declare const parts: {
  console(): typeof import("../web/console_part.ts");
  encoding(): typeof import("../web/encoding_part.ts");
  events(): typeof import("../web/events_part.ts");
  extras(): typeof import("../web/extras_part.ts");
  forms(): typeof import("../web/forms_part.ts");
  loader(): typeof import("../runtime/loader_part.ts");
  params(): typeof import("../web/params_part.ts");
  actors(): typeof import("../runtime/actors/actors_part.ts");
  rpc(): typeof import("../runtime/rpc/rpc_part.ts");
  sockets(): typeof import("../runtime/sockets/sockets_part.ts");
  workflows(): typeof import("../runtime/workflows/workflows_part.ts");
  streams(): typeof import("../web/streams_part.ts");
};
