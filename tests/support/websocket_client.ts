// SPDX-License-Identifier: Apache-2.0
//
// A plain WebSocket client for tests: frames as the test wants them, also wrong ones, and everything that came back.
import { randomBytes } from 'node:crypto';
import net from 'node:net';

export interface FrameShape {
  final?: boolean;
  masked?: boolean;
  reserved?: number;
}

export const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export function frame(code: number, payload: string | Uint8Array = '', shape: FrameShape = {}): Buffer {
  const { final = true, masked = true, reserved = 0 } = shape;
  const bytes = Buffer.from(payload as Uint8Array);
  const head = [(final ? 0x80 : 0) | reserved << 4 | code];
  const mask = masked ? 0x80 : 0;
  if (bytes.length < 126) {
    head.push(mask | bytes.length);
  } else if (bytes.length < 65536) {
    head.push(mask | 126, bytes.length >> 8, bytes.length & 255);
  } else {
    head.push(mask | 127, 0, 0, 0, 0, bytes.length >>> 24, (bytes.length >> 16) & 255, (bytes.length >> 8) & 255, bytes.length & 255);
  }
  if (!masked) return Buffer.concat([Buffer.from(head), bytes]);
  const key = randomBytes(4);
  for (let i = 0; i < bytes.length; ++i) bytes[i]! ^= key[i & 3]!;
  return Buffer.concat([Buffer.from(head), key, bytes]);
}

export function closeFrame(code?: number, reason = ''): Buffer {
  if (code === undefined) return frame(opcode.close);
  return frame(opcode.close, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
}

export interface Received {
  kind: 'text' | 'binary' | 'close' | 'ping' | 'pong';
  data: Buffer;
  code?: number; // of a close
  fragments: number;
}

export class RawSocket {
  readonly #socket: net.Socket;
  #bytes = Buffer.alloc(0);
  #fragments: { kind: 'text' | 'binary'; parts: Buffer[] } | undefined;
  #received: Received[] = [];
  #waiting: (() => void)[] = [];
  head = '';
  isClosed = false;
  wasReset = false;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, data]);
      this.#parse();
      this.#wake();
    });
    socket.on('error', () => { this.wasReset = true; });
    socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  // Sends the upgrade and waits for the head of the answer.
  static async open(url: string, path = '/', headers: Record<string, string> = {}): Promise<RawSocket> {
    const { hostname, port } = new URL(url);
    const socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
    const raw = new RawSocket(socket);
    const fields = {
      Host: 'socket.example', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version': '13', ...headers };
    const lines = Object.entries(fields).filter(([, value]) => value !== '').map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    await raw.#until(() => raw.head !== '' || raw.isClosed);
    return raw;
  }

  get status(): number {
    return Number(this.head.split(' ')[1]);
  }

  send(...frames: Buffer[]): boolean {
    return this.#socket.write(Buffer.concat(frames));
  }

  text(data: string): void {
    this.send(frame(opcode.text, data));
  }

  // The next message or control frame.
  async next(): Promise<Received> {
    await this.#until(() => this.#received.length > 0 || this.isClosed);
    const received = this.#received.shift();
    if (received === undefined) throw new Error('the connection ended');
    return received;
  }

  // Everything until the connection ends, short: ["text:x", "close:1000:bye"].
  async rest(): Promise<string[]> {
    await this.#until(() => this.isClosed);
    return this.#received.splice(0).map(({ kind, data, code }) => (kind === 'close' ? `close:${code}:${data}` : `${kind}:${data}`));
  }

  async closed(): Promise<void> {
    await this.#until(() => this.isClosed);
  }

  pause(): void { this.#socket.pause(); }
  resume(): void { this.#socket.resume(); }
  end(): void { this.#socket.end(); }
  destroy(): void { this.#socket.destroy(); }
  reset(): void { this.#socket.resetAndDestroy(); }

  #parse(): void {
    if (this.head === '') {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.#bytes.subarray(0, end).toString('latin1');
      this.#bytes = this.#bytes.subarray(end + 4);
    }
    if (this.status !== 101) return;
    for (;;) {
      const bytes = this.#bytes;
      if (bytes.length < 2) return;
      let length = bytes[1]! & 127;
      let at = 2;
      if (length === 126) {
        if (bytes.length < 4) return;
        length = bytes.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (bytes.length < 10) return;
        length = Number(bytes.readBigUInt64BE(2));
        at = 10;
      }
      if (bytes.length < at + length) return;
      this.#take(bytes[0]!, Buffer.from(bytes.subarray(at, at + length)));
      this.#bytes = bytes.subarray(at + length);
    }
  }

  #take(first: number, data: Buffer): void {
    const code = first & 15;
    if (code === opcode.close) {
      const has = data.length >= 2;
      this.#received.push({ kind: 'close', code: has ? data.readUInt16BE(0) : 1005, data: data.subarray(2), fragments: 1 });
    } else if (code >= 8) {
      this.#received.push({ kind: code === opcode.ping ? 'ping' : 'pong', data, fragments: 1 });
    } else {
      if (code !== 0) this.#fragments = { kind: code === 1 ? 'text' : 'binary', parts: [] };
      this.#fragments!.parts.push(data);
      if ((first & 0x80) === 0) return;
      const { kind, parts } = this.#fragments!;
      this.#received.push({ kind, data: Buffer.concat(parts), fragments: parts.length });
    }
  }

  #wake(): void {
    for (const waiting of this.#waiting.splice(0)) waiting();
  }

  async #until(condition: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(20000);
    while (!condition()) {
      deadline.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const give = (): void => reject(new Error('waited for 20 s'));
        deadline.addEventListener('abort', give, { once: true });
        this.#waiting.push(() => {
          deadline.removeEventListener('abort', give);
          resolve();
        });
      });
    }
  }
}
