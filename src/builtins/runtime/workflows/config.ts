// SPDX-License-Identifier: Apache-2.0
//
// What an author gives to step.do(), typed for the engine, which checks it and says what is wrong with it. Read once:
// what getters would say later does not count.

import { isObject, toText } from "../../internal/convert.ts";
import { objectKeys, slice } from "../../internal/intrinsics.ts";

// Milliseconds, text such as "5 minutes", or "there is a function to be asked".
export type PackedDuration = number | string | { readonly function: true };

export interface PackedConfig {
  retries?: { limit?: number; delay?: PackedDuration; backoff?: string };
  timeout?: PackedDuration;
  sensitive?: "output";
}

export interface GivenConfig {
  config?: PackedConfig;
  problem?: string;
  delay: ((input: unknown) => unknown) | null;
}

const kTextMax = 300;
// What a number that JSON does not have is for the engine: refused, or "without end".
const kRefused = -1;
const kUnlimited = 4294967295;

function toNumber(value: number): number {
  if (value === Infinity) return kUnlimited;
  return value - value === 0 ? value : kRefused;
}

// undefined: it is of no kind that a duration can have.
export function packDuration(value: unknown): number | string | undefined {
  if (typeof value === "number") return value - value === 0 ? value : kRefused;
  return typeof value === "string" ? slice(value, 0, kTextMax) : undefined;
}

// The name of a step, as far as the engine shows it.
export function packName(value: unknown): string {
  const name = toText(value);
  return name.length > kTextMax ? slice(name, 0, kTextMax) : name;
}

function unknownKey(value: object, known: readonly string[]): string | undefined {
  const keys = objectKeys(value);
  for (let i = 0; i < keys.length; i++) {
    if (!known.includes(keys[i]!)) return keys[i];
  }
  return undefined;
}

const kKeys = ["retries", "timeout", "sensitive"] as const;
const kRetryKeys = ["limit", "delay", "backoff"] as const;

export function packConfig(value: unknown): GivenConfig {
  const given: GivenConfig = { delay: null };
  if (value === undefined || value === null) return given;
  const refuse = (problem: string): GivenConfig => ({ problem, delay: null });
  if (!isObject(value)) return refuse("it must be an object");
  const extra = unknownKey(value, kKeys);
  if (extra !== undefined) return refuse(`unknown key "${slice(extra, 0, kTextMax)}"`);
  const { retries, timeout, sensitive } = value as Record<string, unknown>;
  const config: PackedConfig = {};
  if (retries !== undefined) {
    if (!isObject(retries)) return refuse("retries must be an object");
    const problem = packRetries(retries, config, given);
    if (problem !== undefined) return refuse(problem);
  }
  if (timeout !== undefined) {
    const duration = packDuration(timeout);
    if (duration === undefined) return refuse("timeout must be a duration");
    config.timeout = duration;
  }
  if (sensitive !== undefined) {
    if (sensitive !== "output") return refuse('sensitive must be "output"');
    config.sensitive = sensitive;
  }
  given.config = config;
  return given;
}

// Returns what is wrong.
function packRetries(retries: object, config: PackedConfig, given: GivenConfig): string | undefined {
  const extra = unknownKey(retries, kRetryKeys);
  if (extra !== undefined) return `unknown key "retries.${slice(extra, 0, kTextMax)}"`;
  const { limit, delay, backoff } = retries as Record<string, unknown>;
  const packed: NonNullable<PackedConfig["retries"]> = {};
  if (limit !== undefined) {
    if (typeof limit !== "number") return "retries.limit must be a number";
    packed.limit = toNumber(limit);
  }
  if (typeof delay === "function") {
    given.delay = delay as (input: unknown) => unknown;
    packed.delay = { function: true };
  } else if (delay !== undefined) {
    const duration = packDuration(delay);
    if (duration === undefined) return "retries.delay must be a duration or a function";
    packed.delay = duration;
  }
  if (backoff !== undefined) {
    if (typeof backoff !== "string" || backoff === "") return 'retries.backoff must be "constant", "linear" or "exponential"';
    packed.backoff = slice(backoff, 0, kTextMax);
  }
  config.retries = packed;
  return undefined;
}
