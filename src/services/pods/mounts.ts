import { readFileSync } from 'node:fs';

import { systemCode } from '../../platform/errors.ts';

/**
 * Where a process mounts directories that were deleted since: it sees them empty, and never what is put in their place
 * (proc_pid_mountinfo(5)).
 * @param pid 0 for a process that is not there
 */
export function deletedMounts(pid: number): string[] {
  return mountsOf(pid)
    .split('\n')
    .map((line) => line.split(' '))
    .flatMap(([, , , root, mountPoint]) => (mountPoint !== undefined && root?.endsWith('//deleted') === true ? [mountPoint] : []));
}

function mountsOf(pid: number): string {
  try {
    return pid === 0 ? '' : readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
  } catch (error) {
    // It has ended, or is another user's.
    if (systemCode(error) === undefined) throw error;
    return '';
  }
}
