// SPDX-License-Identifier: Apache-2.0
//
// The drawing of console.table.

import { inspect, quote } from "../internal/inspect.ts";
import { isArray, objectKeys, repeat } from "../internal/intrinsics.ts";

const kMostRows = 200;
const kMostColumns = 50;
const kIndex = "(index)";
const kValues = "Values";

function cell(value: unknown): string {
  return typeof value === "string" ? quote(value.length > 100 ? `${value.slice(0, 100)}...` : value)
    : inspect(value, { depth: 0 }).replaceAll("\n", " ");
}

// undefined when `data` is not something with rows.
export function formatTable(data: unknown, only: readonly string[] | undefined): string | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const rowNames: string[] = [];
  const rowValues: unknown[] = [];
  if (data instanceof Map) {
    for (const [key, value] of data) {
      rowNames.push(cell(key));
      rowValues.push(value);
    }
  } else if (data instanceof Set) {
    for (const value of data) {
      rowNames.push(`${rowNames.length}`);
      rowValues.push(value);
    }
  } else {
    for (const key of objectKeys(data)) {
      rowNames.push(key);
      rowValues.push((data as Record<string, unknown>)[key]);
    }
  }
  rowNames.length = rowValues.length = Math.min(rowNames.length, kMostRows);

  const columns: string[] = isArray(only) ? only.map(String) : [];
  let hasValues = false;
  for (const value of rowValues) {
    if (typeof value !== "object" || value === null) {
      hasValues = true;
    } else if (only === undefined) {
      for (const key of objectKeys(value)) {
        if (!columns.includes(key) && columns.length < kMostColumns) columns.push(key);
      }
    }
  }
  const head = [kIndex, ...columns, ...(hasValues ? [kValues] : [])];
  const rows = rowValues.map((value, i) => {
    const isRow = typeof value === "object" && value !== null;
    const cells = columns.map((key) =>
      isRow && Object.hasOwn(value, key) ? cell((value as Record<string, unknown>)[key]) : "");
    return [rowNames[i]!, ...cells, ...(hasValues ? [isRow ? "" : cell(value)] : [])];
  });
  return draw(head, rows);
}

function draw(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)) + 2);
  const rule = (left: string, middle: string, right: string): string =>
    left + widths.map((width) => repeat("─", width)).join(middle) + right;
  const line = (cells: readonly string[]): string =>
    `│${cells.map((text, i) => ` ${text}${repeat(" ", widths[i]! - text.length - 1)}`).join("│")}│`;
  return [rule("┌", "┬", "┐"), line(head), rule("├", "┼", "┤"), ...rows.map(line), rule("└", "┴", "┘")].join("\n");
}
