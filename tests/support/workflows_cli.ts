// SPDX-License-Identifier: Apache-2.0
//
// `insula workflows ...`, as an operator calls it.
import { execFile } from 'node:child_process';

import { requireInsula } from './paths.ts';

export interface Said {
  code: number;
  out: string;
  error: string;
}

export function askWorkflows(data: string, ...words: string[]): Promise<Said> {
  const { promise, resolve } = Promise.withResolvers<Said>();
  execFile(requireInsula(), ['workflows', ...words, '--data', data], (failure, out, error) => {
    resolve({ code: failure === null ? 0 : Number(failure.code), out, error });
  });
  return promise;
}
