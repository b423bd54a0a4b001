// SPDX-License-Identifier: Apache-2.0
//
// EventLog: the lines that a server printed, as events that a test can await under a deadline.
//
// Insula prints one JSON object a line ({"time", "level", "event", ...}). A line that is not JSON becomes the event
// "text", so that nothing is lost and the peer's output can be awaited in the same way.

export interface LogEvent {
  event: string;
  level?: string;
  [field: string]: unknown;
}

export interface WaitOptions {
  within?: number; // ms; default 10,000
  after?: number; // only events from this mark on (see mark())
}

interface Waiter {
  accepts: (event: LogEvent) => boolean;
  after: number;
  resolve: (event: LogEvent) => void;
  reject: (error: Error) => void;
}

const kLinesKept = 20000;

export class EventLog {
  readonly #name: string;
  readonly #events: LogEvent[] = [];
  readonly #waiters = new Set<Waiter>();
  #dropped = 0;
  #partial: Record<string, string> = {};
  #closedBecause: string | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  // Number of events so far: what is awaited "after" it came later than this moment.
  mark(): number {
    return this.#dropped + this.#events.length;
  }

  since(mark = 0): LogEvent[] {
    return this.#events.slice(Math.max(0, mark - this.#dropped));
  }

  all(name: string, mark = 0): LogEvent[] {
    return this.since(mark).filter((event) => event.event === name);
  }

  // The first event of that name which `matches`, past or future.
  wait(name: string, matches: (event: LogEvent) => boolean = () => true, options: WaitOptions = {}): Promise<LogEvent> {
    const { within = 10000, after = 0 } = options;
    const accepts = (event: LogEvent): boolean => event.event === name && matches(event);
    const found = this.since(after).find(accepts);
    if (found) return Promise.resolve(found);
    if (this.#closedBecause !== undefined) return Promise.reject(this.#failure(name, this.#closedBecause));
    const { promise, resolve, reject } = Promise.withResolvers<LogEvent>();
    const waiter: Waiter = { accepts, after, resolve, reject };
    this.#waiters.add(waiter);
    const timer = setTimeout(() => reject(this.#failure(name, `not seen within ${within} ms`)), within);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    });
  }

  feed(stream: string, chunk: string): void {
    const lines = ((this.#partial[stream] ?? '') + chunk).split('\n');
    this.#partial[stream] = lines.pop() ?? '';
    for (const line of lines) if (line.length > 0) this.#add(parse(line, stream));
  }

  close(because: string): void {
    for (const [stream, rest] of Object.entries(this.#partial)) if (rest.length > 0) this.#add(parse(rest, stream));
    this.#partial = {};
    this.#closedBecause = because;
    for (const waiter of [...this.#waiters]) waiter.reject(this.#failure('an event', because));
  }

  // The last lines, for messages of failed tests.
  tail(count = 25): string {
    return this.#events
      .slice(-count)
      .map((event) => (event.event === 'text' ? String(event.text) : JSON.stringify(event)))
      .join('\n');
  }

  #add(event: LogEvent): void {
    this.#events.push(event);
    if (this.#events.length > kLinesKept) {
      this.#dropped += this.#events.length / 2;
      this.#events.splice(0, this.#events.length / 2);
    }
    for (const waiter of [...this.#waiters]) if (waiter.accepts(event)) waiter.resolve(event);
  }

  #failure(name: string, because: string): Error {
    return new Error(`${this.#name}: waiting for "${name}": ${because}. Its last lines:\n${this.tail()}`);
  }
}

function parse(line: string, stream: string): LogEvent {
  if (line.startsWith('{')) {
    try {
      const value = JSON.parse(line) as LogEvent;
      if (typeof value.event === 'string') return value;
    } catch {
      // Not JSON after all: kept as text below.
    }
  }
  return { event: 'text', text: line, stream };
}
