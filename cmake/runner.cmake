# The runner: rooms that see V8, and the library that is preloaded into the engine executable.
room(engine V8 USES base)
room(runner/isolate V8 USES base protocol engine)
room(runner/modules V8 USES base protocol runner/isolate)
room(runner/bindings V8 USES base runner/isolate)
room(runner/worker V8 USES base engine runner/isolate runner/modules runner/bindings)
