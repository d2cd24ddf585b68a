// Files that a process hands on to a child: of the host, of a mount of the virtual kernel, or a device. In the child each is a
// descriptor of the same open file, at the same position.

import type { GivenDescriptor, GivenFile } from './kernel-call.ts';
import type {
  Descriptor,
  DescriptorTable,
  FileDescriptor,
  MountedFileDescriptor,
  PositionedDescriptor,
} from './wasi/descriptor-table.ts';
import { Errno, WasiError } from './wasi/errno.ts';
import { FilePosition, positionIs } from './wasi/file-position.ts';

type Given = Omit<GivenDescriptor, 'to' | 'implied'>;

/** Undefined: it is no file. Directories do not go along. @throws WasiError */
export function givenFile(
  descriptors: DescriptorTable,
  descriptor: Descriptor,
  lent: Map<unknown, FilePosition>,
): Given | undefined {
  const { flags, rights, inheriting, lost = 0n } = descriptor;
  switch (descriptor.kind) {
    case 'file': {
      const { host, filetype, seekable, readOnly, counted = false } = descriptor;
      const position = descriptors.sharePosition(descriptor, lent).cell;
      const about = { filetype, seekable, readOnly, counted };
      return { host, file: { ...about, flags, rights, inheriting, lost, position } };
    }
    case 'mounted-file': {
      const { handle: mounted, filetype } = descriptor;
      const position = descriptors.sharePosition(descriptor, lent).cell;
      const about = { filetype, seekable: true, readOnly: false, counted: false };
      return { mounted, file: { ...about, flags, rights, inheriting, lost, position } };
    }
    case 'device':
      return { device: descriptor.device, flags, rights };
    default:
      return undefined;
  }
}

/** In the child's thread. */
export function openGiven(descriptors: DescriptorTable, given: GivenDescriptor): void {
  const made = addGiven(descriptors, given);
  if (made !== given.to) descriptors.moveTo(made, given.to);
}

function addGiven(descriptors: DescriptorTable, given: GivenDescriptor): number {
  if ('stream' in given) return descriptors.streamAgain(given.stream);
  if ('device' in given) {
    const { device, flags, rights } = given;
    return descriptors.add({ kind: 'device', device, flags, rights, inheriting: 0n });
  }
  if ('mounted' in given) {
    const descriptor: MountedFileDescriptor = {
      ...{ kind: 'mounted-file', handle: given.mounted },
      ...aboutOf(given.file),
    };
    return descriptors.add(placed(descriptor, given.file));
  }
  if (!('file' in given)) return descriptors.addKeptConnection(given.host);
  const { seekable, readOnly, counted } = given.file;
  const descriptor: FileDescriptor = {
    ...{ kind: 'file', host: given.host, seekable, readOnly, counted, kept: true },
    ...aboutOf(given.file),
  };
  return descriptors.add(placed(descriptor, given.file));
}

function aboutOf({ filetype, flags, rights, inheriting, lost }: GivenFile) {
  return { filetype, flags, rights, inheriting, lost, positionBytes: 0n };
}

function placed<File extends PositionedDescriptor>(descriptor: File, { position }: GivenFile): File {
  positionIs(descriptor, new FilePosition(position));
  return descriptor;
}

/** Of another number than here: what cannot be given is said. */
export function expectGivable(from: number, to: number): void {
  if (from !== to) throw new WasiError(Errno.notsup);
}
