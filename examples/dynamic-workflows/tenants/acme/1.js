// SPDX-License-Identifier: Apache-2.0
//
// A tenant that sells things. It knows nothing of other tenants, nor that its workflow is run through a dispatcher.
import { WorkflowEntrypoint } from 'cloudflare:workers';
import { NonRetryableError } from 'cloudflare:workflows';

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const { item, amount } = event.payload;

    const payment = await step.do('charge', { retries: { limit: 5, delay: '1 second', backoff: 'constant' } }, async ({ attempt }) => {
      if (attempt < 3) throw new Error('the bank does not answer');  // twice, so that there is something to see
      return { amount, attempt };
    });

    await step.sleep('let the customer think again', '3 seconds');

    const approval = await step.waitForEvent('approval', { type: 'approval', timeout: '2 days' });
    if (!approval.payload.granted) throw new NonRetryableError(`refused by ${approval.payload.by}`);

    return step.do('ship', async () => ({ item, payment, approvedBy: approval.payload.by }));
  }
}

// POST /orders {id, item, amount}      GET /orders/ID      POST /orders/ID/approval {granted, by}
export default {
  async fetch(request, env) {
    const [, , id, action] = new URL(request.url).pathname.split('/');
    if (request.method === 'POST' && id === undefined) {
      const { id, ...params } = await request.json();
      const instance = await env.WORKFLOWS.create({ id, params });
      return Response.json({ created: await instance.id }, { status: 201 });
    }
    const instance = await env.WORKFLOWS.get(id);
    if (action === 'approval') await instance.sendEvent({ type: 'approval', payload: await request.json() });
    return Response.json(await instance.status());
  },
};
