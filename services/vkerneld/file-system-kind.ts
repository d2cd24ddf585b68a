// Programs are granted people's files, and nothing else that looks like files.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { fileSystemOf, holdsFiles } from '@odonata/userfault/file-system-kind.ts';

/** @throws RpcError PERMISSION_DENIED where an open directory is not for people's files */
export function expectFiles(fd: number, what: string): void {
  const kind = fileSystemOf(fd);
  if (holdsFiles(kind)) return;
  throw new RpcError(
    Code.PermissionDenied,
    `${what} is on a file system of kind ${kind ?? 'unknown'}, which is not granted to programs: ` +
      'grant a directory of one that holds files, such as ext4, xfs or tmpfs',
  );
}
