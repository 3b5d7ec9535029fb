/** What `podserve images build` makes, each after what it stands on. */
export const IMAGES = ['runtime', 'base', 'certificates', 'apache', 'mail'] as const;

export type ImageKind = (typeof IMAGES)[number];

/** The name by which the files of deploy/ ask for it. */
export function imageName(kind: ImageKind): string {
  return `localhost/podserve-harmony-${kind}:latest`;
}

/** The label in which an image keeps the digest of all that it was made from. */
export const INPUTS_LABEL = 'io.podserve.inputs';
