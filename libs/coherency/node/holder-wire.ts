// What a node says to a directory, as messages: the words of the holder's machines, and those of its locks.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HolderEventSchema } from '@odonata/proto/coherency/v1/coherency';

export type HolderEventInit = MessageInitShape<typeof HolderEventSchema>['event'];
