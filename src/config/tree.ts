import type { EnvironmentSettings } from './environment.ts';
import type { Path } from './problem.ts';

/** Where a value came from. */
export type Origin =
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'default'; readonly note?: string };

/** A value in the form of the file, with its origin. */
export interface Leaf {
  readonly value: string | number | boolean | readonly string[];
  readonly origin: Origin;
}

export type Tree = { readonly [key: string]: TreeNode | undefined };

export type TreeNode = Leaf | Tree | readonly Tree[];

export function isLeaf(node: TreeNode): node is Leaf {
  return 'origin' in node && 'value' in node;
}

export function isList(node: TreeNode): node is readonly Tree[] {
  return Array.isArray(node);
}

/**
 * Finds out where the value at `path` came from.
 * @param setting the variable that may have set it
 * @param note what is said of a default
 */
export type MakeLeaf = (
  value: Leaf['value'] | undefined,
  path: Path,
  setting?: keyof EnvironmentSettings,
  note?: string,
) => Leaf | undefined;
