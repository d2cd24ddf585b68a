// Every message of Odonata's interfaces, from the descriptors.
import type { DescFile, DescMessage } from '@bufbuild/protobuf';
import { file_odonata_auth_v1_access as auth } from '@odonata/proto/auth/v1/access';
import { file_odonata_coherency_v1_coherency as coherency } from '@odonata/proto/coherency/v1/coherency';
import { file_odonata_event_v1_event as event } from '@odonata/proto/event/v1/event';
import { file_odonata_pmap_v1_handover as handover } from '@odonata/proto/pmap/v1/handover';
import { file_odonata_pmap_v1_pmap as pmap } from '@odonata/proto/pmap/v1/pmap';
import { file_odonata_syslink_v1_syslink as syslink } from '@odonata/proto/syslink/v1/syslink';
import { file_odonata_vkernel_v1_vkernel as vkernel } from '@odonata/proto/vkernel/v1/vkernel';
import { file_odonata_wire_v1_wire as wire } from '@odonata/proto/wire/v1/wire';

export const FILES: readonly DescFile[] = [auth, coherency, event, handover, pmap, syslink, vkernel, wire];

export const MESSAGES: readonly DescMessage[] = FILES.flatMap(({ messages }) => messages);
