// Numbers of the fields that are read and written by hand, as syslink.proto and access.proto give them; frames.test.ts holds what they
// make against protobuf-es.
export const FRAMES = 1;
export const FrameField = { message: 3, circuitData: 6, circuitWindow: 7 } as const;
export const AddressField = { sysid: 1, name: 2, session: 3 } as const;
export const MessageField = {
  ...{ to: 1, from: 2, proto: 3, msgid: 4, reply: 5, hopLimit: 6, head: 7, bulk: 8, status: 9 },
  ...{ deadlineMs: 10, requestId: 11, caller: 12, trace: 13 },
} as const;
export const CallerField = { role: 1, name: 2, groups: 3 } as const;
export const StatusField = { code: 1, reason: 2, details: 3, detailType: 1, detailValue: 2 } as const;
export const DataField = { circuit: 1, data: 2 } as const;
export const WindowField = { circuit: 1, takenBytes: 2, earlierBytes: 80 } as const;
