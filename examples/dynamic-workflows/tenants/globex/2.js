// SPDX-License-Identifier: Apache-2.0
//
// A tenant that writes letters at night, version 2. POST /letters {id}, GET /letters/ID.
import { WorkflowEntrypoint } from 'cloudflare:workers';

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const letter = await step.do('write', async () => 'written by version 2');
    await step.sleep('wait for the night', '5 seconds');
    return step.do('send', async () => `${letter}, sent by version 2`);
  }
}

export default {
  async fetch(request, env) {
    const [, , id] = new URL(request.url).pathname.split('/');
    if (id !== undefined) return Response.json(await (await env.WORKFLOWS.get(id)).status());
    const instance = await env.WORKFLOWS.create(await request.json());
    return Response.json({ created: await instance.id, by: 'version 2' }, { status: 201 });
  },
};
