// SPDX-License-Identifier: Apache-2.0
//
// The service that Restate runs for the bench of workflows: the same steps as the class that Insula and miniflare run.
// Tells its parent the port that it listens on, and, when asked, how many runs have come to their end.
import * as restate from '@restatedev/restate-sdk';

let ended = 0;

const flows = restate.service({
  name: 'flows',
  handlers: {
    flow: async (ctx: restate.Context, steps?: number): Promise<void> => {
      for (let i = 0; i < (steps ?? 0); ++i) await ctx.run(`step ${i}`, () => Promise.resolve(i));
      ++ended;
    },
    begin: (ctx: restate.Context, { instances, steps }: { instances: number; steps: number }): Promise<void> => {
      for (let i = 0; i < instances; ++i) ctx.genericSend({ service: 'flows', method: 'flow', parameter: steps, inputSerde: restate.serde.json });
      return Promise.resolve();
    },
  },
});

process.on('message', () => process.send!(ended));
process.on('disconnect', () => process.exit());
process.send!(await restate.endpoint().setLogger(() => {}).bind(flows).listen(0));
