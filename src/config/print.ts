import { isLeaf, isList, type Leaf, type Origin, type Tree } from './tree.ts';
import { formatPath, type Path } from './problem.ts';

/** The tree as YAML that can be read back, each value with its origin behind it where `origins` is set. */
export function printYaml(tree: Tree, origins: boolean): string[] {
  return printTree(tree, origins, '');
}

/** `file:line:column`, the variable, or `default`. */
function formatOrigin(origin: Origin): string {
  if (origin.kind === 'file') return `${origin.file}:${origin.line}:${origin.column}`;
  if (origin.kind === 'environment') return origin.variable;
  return origin.note === undefined ? 'default' : `default: ${origin.note}`;
}

/** Every value's path in the printed form, with its origin. */
export function listOrigins(tree: Tree, path: Path = []): Record<string, Origin> {
  const origins: Record<string, Origin> = {};
  for (const [key, node] of Object.entries(tree)) {
    const here = [...path, key];
    if (node === undefined) continue;
    if (isList(node)) {
      for (const [index, inner] of node.entries()) Object.assign(origins, listOrigins(inner, [...here, index]));
    } else if (isLeaf(node)) origins[formatPath(here)] = node.origin;
    else Object.assign(origins, listOrigins(node, here));
  }
  return origins;
}

function printTree(tree: Tree, origins: boolean, indent: string): string[] {
  return Object.entries(tree).flatMap(([key, node]) => {
    if (node === undefined) return [];
    if (isList(node)) {
      return [`${indent}${key}:`, ...node.flatMap((inner) => listItem(printTree(inner, origins, `${indent}    `), indent))];
    }
    if (!isLeaf(node)) return [`${indent}${key}:`, ...printTree(node, origins, `${indent}  `)];
    const { value, origin } = node;
    return [`${indent}${key}: ${printValue(value)}${origins ? ` # ${formatOrigin(origin)}` : ''}`];
  });
}

function listItem(lines: readonly string[], indent: string): string[] {
  return lines.map((line, index) => (index === 0 ? `${indent}  - ${line.trimStart()}` : line));
}

function printValue(value: Leaf['value']): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? printText(value) : `[${value.map(printText).join(', ')}]`;
}

/** Plain where nobody could take it for something else, else in JSON's quotes, which YAML reads too. */
function printText(text: string): string {
  return /^[a-z][a-z0-9.@-]*$/.test(text) && !/^(?:true|false|null|yes|no|on|off|y|n)$/.test(text) ? text : JSON.stringify(text);
}
