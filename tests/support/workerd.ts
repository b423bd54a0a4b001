// SPDX-License-Identifier: Apache-2.0
//
// Peer: `workerd` on a generated configuration and a port that the kernel chose.
import { type Answer, call, type CallOptions } from './http_client.ts';
import { peerProgram } from './paths.ts';
import { ServerProcess } from './server_process.ts';
import { freshFolder, type WorkerSpec, writeCapnp } from './worker_spec.ts';

export class Peer extends ServerProcess {
  #port = 0;

  private constructor(folder: string, config: string) {
    const args = ['serve', config, '--experimental', '--control-fd=3'];
    super({ name: 'workerd', program: peerProgram(), args, folder, controlFd: true });
  }

  static async start(workers: WorkerSpec | WorkerSpec[]): Promise<Peer> {
    const folder = freshFolder();
    const peer = new Peer(folder, writeCapnp(folder, [workers].flat()));
    try {
      // The control pipe says {"event": "listen", "socket": "http", "port": N} once the socket is open.
      const { port } = await peer.log.wait('listen', (event) => event.socket === 'http', { within: 20000 });
      peer.#port = Number(port);
    } catch (error) {
      await peer.stop();
      throw error;
    }
    return peer;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  call(path: string, options: CallOptions = {}): Promise<Answer> {
    return call(this.url + path, options);
  }
}
