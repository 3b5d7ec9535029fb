/**
 * The fields that files of deploy/ may have, and what podman 4.3.1 does with each where it is not what Kubernetes does.
 * Everything in shared use was tried there; what it ignores is listed only where nothing is lost.
 */
export const PODMAN_FIELDS: ReadonlyMap<string, string> = new Map([
  ['apiVersion', ''],
  ['kind', ''],
  ['metadata.name', 'pods of one network reach each other by it'],
  ['metadata.labels', ''],
  ['data', 'with --configmap'],
  ['spec.restartPolicy', 'Always also restarts the unhealthy'],
  ['spec.automountServiceAccountToken', 'ignored: there are no service accounts'],
  ['spec.enableServiceLinks', 'ignored: there are no services'],
  ['spec.shareProcessNamespace', ''],
  ['spec.securityContext.supplementalGroups', 'lost when a daemon changes its user'],
  ['spec.securityContext.sysctls[].name', 'ignored: the capability is ambient there'],
  ['spec.securityContext.sysctls[].value', 'ignored: the capability is ambient there'],
  ...['spec.initContainers[]', 'spec.containers[]'].flatMap((container) =>
    [
      ['name', ''],
      ['image', ''],
      ['imagePullPolicy', ''],
      ['command', 'the ENTRYPOINT'],
      ['args', 'the CMD'],
      ['securityContext.runAsUser', ''],
      ['securityContext.runAsGroup', ''],
      ['securityContext.runAsNonRoot', 'ignored; runAsUser says the same'],
      ['securityContext.allowPrivilegeEscalation', ''],
      ['securityContext.readOnlyRootFilesystem', 'for /run and /tmp too'],
      ['securityContext.capabilities.drop', ''],
      ['securityContext.capabilities.add', 'ambient for a user who is not root'],
      ['resources.requests.cpu', ''],
      ['resources.requests.memory', ''],
      ['resources.limits.cpu', ''],
      ['resources.limits.memory', ''],
      ['volumeMounts[].name', ''],
      ['volumeMounts[].mountPath', ''],
      ['volumeMounts[].readOnly', 'refuses root too'],
    ].map(([field, note]): [string, string] => [`${container}.${field}`, note ?? '']),
  ),
  ['spec.containers[].envFrom[].configMapRef.name', 'with --configmap'],
  ['spec.containers[].env[].name', ''],
  ['spec.containers[].env[].value', 'stronger than envFrom'],
  ['spec.containers[].ports[].name', ''],
  ['spec.containers[].ports[].containerPort', 'published even without hostPort'],
  ['spec.containers[].ports[].hostPort', ''],
  ['spec.containers[].livenessProbe.exec.command', 'joined by spaces'],
  ['spec.containers[].livenessProbe.initialDelaySeconds', ''],
  ['spec.containers[].livenessProbe.periodSeconds', 'needs systemd'],
  ['spec.containers[].livenessProbe.timeoutSeconds', ''],
  ['spec.containers[].livenessProbe.failureThreshold', ''],
  ['spec.volumes[].name', 'of an emptyDir: one namespace for all pods'],
  ['spec.volumes[].hostPath.path', ''],
  ['spec.volumes[].hostPath.type', 'DirectoryOrCreate makes root:root 0755'],
  ['spec.volumes[].emptyDir', 'a volume that goes with the pod'],
  ['spec.volumes[].emptyDir.medium', 'ignored: on disk'],
]);

/** Maps whose keys are the user's. */
const OPEN = new Set(['metadata.labels', 'data']);

/** The paths of all values, as in `PODMAN_FIELDS`: lists of values and open maps are one value. */
export function fieldsOf(value: unknown, path = ''): Set<string> {
  if (OPEN.has(path) || typeof value !== 'object' || value === null) return new Set([path]);
  if (Array.isArray(value)) {
    if (!value.some((element) => typeof element === 'object')) return new Set([path]);
    return new Set(value.flatMap((element) => [...fieldsOf(element, `${path}[]`)]));
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return new Set([path]);
  return new Set(entries.flatMap(([key, inner]) => [...fieldsOf(inner, path === '' ? key : `${path}.${key}`)]));
}
