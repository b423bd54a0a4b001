// SPDX-License-Identifier: Apache-2.0
//
// The part "workflows": made in a Worker that has a workflow's binding, or whose class is being run as one.

export { newWorkflow } from "./binding.ts";
export { startRun } from "./start.ts";
